"""``model.onnx``: the graph and weights for onnxruntime and whatever else reads ONNX; input ``images``, any batch.

Names of layers and stack traces, a third of the file and full of local paths, are left out, and so are the shapes of
what lies between, which every reader infers.
"""

from pathlib import Path
from typing import Any, ClassVar

import torch

from nas.export.formats.format import Format, Taken, bundle_format, quiet, refusing
from nas.export.formats.graph import ONNX_COSTS
from nas.store.files import write_atomically

RUNNER = """
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(folder + "/model.onnx", options, ["CPUExecutionProvider"])


def run(images):
    return session.run(None, {"images": images})[0]
"""


@bundle_format
class Onnx(Format):
    """A graph of ONNX's operators."""

    name = "onnx"
    folds = True
    files: ClassVar[tuple[str, ...]] = ("model.onnx",)
    is_code = False  # operators of ONNX alone; onnxruntime loads no others unless it is told
    needs: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    runner = f"""{RUNNER}

{ONNX_COSTS}

def costs(shape):
    return onnx_costs(folder + "/model.onnx", shape)
"""

    def write(self, taken: Taken, folder: Path) -> None:
        write_atomically(folder / self.files[0], content(taken))


def content(taken: Taken) -> bytes:
    """``model.onnx`` of a network, made once.

    Raises:
        ValueError: if it cannot be written so.
    """
    if "model.onnx" not in taken.made:
        with quiet("torch.onnx", "onnxscript", "onnx_ir"), refusing("ONNX"):
            found = torch.onnx.export(
                taken.program,
                (torch.zeros(2, *taken.shape),),
                dynamo=True,
                verbose=False,
                input_names=["images"],
                output_names=["outputs"],
            )
        assert found is not None
        _strip(found.model)
        proto = found.model_proto
        for part in (proto.graph, *proto.functions):
            part.ClearField("value_info")
        taken.made["model.onnx"] = proto.SerializeToString()
    return taken.made["model.onnx"]


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
