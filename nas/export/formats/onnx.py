"""``model.onnx``: the graph and weights for onnxruntime and whatever else reads ONNX; input ``images``, any batch.

Names of layers and stack traces, a third of the file and full of local paths, are left out, and so are the shapes of
what lies between, which every reader infers. What lies between has numbers for names; weights keep theirs.
"""

from pathlib import Path
from typing import Any, ClassVar

import torch

from nas.export.formats.format import Format, Taken, bundle_format, quiet, refusing
from nas.export.formats.graph import ONNX_COSTS
from nas.store.files import write_atomically

LARGEST_TWICE = 2**20
"""Numbers in a constant, at most, of which equal ones are looked for: their bytes are held in memory."""
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
        _strip(found.model, set(taken.program.state_dict))
        proto = found.model_proto
        for part in (proto.graph, *proto.functions):
            part.ClearField("value_info")
        _forget_defaults(proto)
        taken.made["model.onnx"] = proto.SerializeToString()
    return taken.made["model.onnx"]


def _strip(model: Any, weights: set[str]) -> None:
    """Takes out everything that is no part of the computation, what is in it twice, and settings that are usual.

    Args:
        weights: initializers that keep their names.
    """
    from onnx_ir.passes import common

    common.DeduplicateInitializersPass(LARGEST_TWICE)(model)
    for graph in (model.graph, *model.functions.values()):
        graph.metadata_props.clear()
        graph.doc_string = None
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = node.name = None
            for value in node.outputs:
                value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    constants = [value for name, value in model.graph.initializers.items() if name not in weights]
    between = [value for node in model.graph for value in node.outputs if value not in model.graph.outputs]
    for number, value in enumerate([*constants, *between]):
        value.name = str(number)
    model.metadata_props.clear()


def _forget_defaults(proto: Any) -> None:
    """Takes out attributes that say what holds without them."""
    import onnx

    versions = {opset.domain: opset.version for opset in proto.opset_import}
    for node in proto.graph.node:
        if not node.domain:
            defaults = onnx.defs.get_schema(node.op_type, versions[""]).attributes
            told = [a for a in node.attribute if a.name not in defaults or defaults[a.name].default_value != a]
            del node.attribute[:]
            node.attribute.extend(told)
