"""``model.onnx``: the graph and weights for onnxruntime and whatever else reads ONNX; input ``images``, any batch.

Names of layers and stack traces, a third of the file and full of local paths, are left out.
"""

import logging
import warnings
from pathlib import Path
from typing import Any, ClassVar

import torch

from nas.export.formats.format import Format, Taken, bundle_format


@bundle_format
class Onnx(Format):
    """A graph of ONNX's operators."""

    name = "onnx"
    files: ClassVar[tuple[str, ...]] = ("model.onnx",)
    needs: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    runner = """
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(folder + "/model.onnx", options, ["CPUExecutionProvider"])


def run(images):
    return session.run(None, {"images": images})[0]
"""

    def write(self, taken: Taken, folder: Path) -> None:
        log = logging.getLogger("torch.onnx")
        level = log.level
        log.setLevel(logging.ERROR)  # it warns of packages that nobody asked for
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = torch.onnx.export(
                    taken.program,
                    (torch.zeros(2, *taken.shape),),
                    dynamo=True,
                    verbose=False,
                    input_names=["images"],
                    output_names=["outputs"],
                )
        except torch.onnx.OnnxExporterError as error:
            raise ValueError(f"ONNX has no form of it: {str(error).partition(chr(10))[0]}") from None
        finally:
            log.setLevel(level)
        assert found is not None
        _strip(found.model)
        found.save(str(folder / self.files[0]))


def _strip(model: Any) -> None:
    """Takes out everything that is no part of the computation."""
    for graph in (model.graph, *model.functions.values()):
        graph.metadata_props.clear()
        graph.doc_string = None
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.metadata_props.clear()
