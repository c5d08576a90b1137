"""``model.int8.onnx``: weights and activations of ``model.onnx`` as 8 bits, for onnxruntime; scales are fixed.

They are those of training images (static quantisation). Dynamic quantisation, which finds them at every pass, was
rejected: of convolutional networks it took 5 to 8 times as long as no quantisation at all.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from nas.export.formats import onnx as full
from nas.export.formats.format import Format, Taken, bundle_format, refusing
from nas.store.files import write_atomically

CALIBRATION = 256
"""Training images, at most, of which the scales of the activations are taken: every class in its share."""


@bundle_format
class Int8(Format):
    """A graph of ONNX's operators with QuantizeLinear and DequantizeLinear around products, one scale a channel."""

    name = "int8"
    files: ClassVar[tuple[str, ...]] = ("model.int8.onnx",)
    is_code = False
    exact = False
    usual = False
    needs: ClassVar[tuple[str, ...]] = full.Onnx.needs
    runner = full.RUNNER.replace("model.onnx", "model.int8.onnx")

    def write(self, taken: Taken, folder: Path) -> None:
        if taken.calibration is None:
            raise ValueError("it is calibrated on training images, and none came with it")
        with tempfile.TemporaryDirectory() as room:
            before, after = Path(room, "full.onnx"), Path(room, "int8.onnx")
            before.write_bytes(full.content(taken))
            with silent(), refusing("the quantiser of onnxruntime"):
                _quantise(before, after, taken.calibration)
                found = _stripped(after)
        write_atomically(folder / self.files[0], found)


def _quantise(before: Path, after: Path, images: Tensor) -> None:
    """Writes a file with scales that are those of images (N, C, H, W)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc,unused-ignore]
        """Images one by one: the largest and smallest values are kept of each, all activations of one at a time."""

        def __init__(self) -> None:
            self.left = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override,unused-ignore]
            image = next(self.left, None)
            return None if image is None else {"images": image[None].contiguous().numpy()}

    quantize_static(
        before,
        after,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,  # signed on both sides: unsigned activations saturate on older processors
        weight_type=QuantType.QInt8,
    )


def _stripped(path: Path) -> bytes:
    """The content of a file without what is no part of the computation.

    Raises:
        ValueError: if nothing in it is quantised.
    """
    import onnx

    model: Any = onnx.load(path)
    if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise ValueError("nothing in this network can be quantised")
    for part in (model, model.graph, *model.functions):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    graph = model.graph
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return bytes(model.SerializeToString())


@contextmanager
def silent() -> Iterator[None]:
    """Without the advice of the quantiser, which it gives to the root of all logs."""
    root, nothing = logging.getLogger(), logging.NullHandler()
    level = root.level
    root.addHandler(nothing)  # else it would set up a handler of its own, for good
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(nothing)
