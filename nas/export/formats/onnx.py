"""``model.onnx``: the graph and weights for onnxruntime and whatever else reads ONNX; input ``images``, any batch.

Names of layers and stack traces, a third of the file and full of local paths, are left out, and so are the shapes of
what lies between, which every reader infers. What lies between has numbers for names; weights keep theirs.
"""

from itertools import count
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
        read = _strip_proto(proto.graph, {opset.domain: opset.version for opset in proto.opset_import}[""])
        for i in reversed(range(len(proto.graph.initializer))):
            if proto.graph.initializer[i].name not in read:  # onnxruntime would warn of each
                del proto.graph.initializer[i]
        taken.made["model.onnx"] = proto.SerializeToString()
    return taken.made["model.onnx"]


def _strip(model: Any, weights: set[str]) -> None:
    """Takes out everything that is no part of the computation, and what is in it twice.

    Args:
        weights: initializers that keep their names.
    """
    from onnx_ir.passes import common

    common.DeduplicateInitializersPass(LARGEST_TWICE)(model)
    model.metadata_props.clear()
    kept, number = {*model.graph.inputs, *model.graph.outputs}, count()
    for graph in model.graphs():
        graph.metadata_props.clear()
        graph.doc_string = None
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = node.name = None
        results = [value for node in graph for value in node.outputs]
        for value in (*graph.inputs, *graph.initializers.values(), *graph.outputs, *results):
            value.metadata_props.clear()
            if value.name and value not in kept and value.name not in weights:  # no name: a result that is left out
                kept.add(value)
                value.name = str(next(number))


def _strip_proto(graph: Any, version: int) -> set[str]:
    """Takes shapes of what lies between out of a graph, and attributes that say what holds without them.

    Args:
        version: of ONNX's operators.

    Returns:
        Names of all that is read.
    """
    import onnx

    graph.ClearField("value_info")
    read = {value.name for value in graph.output}
    for node in graph.node:
        read.update(node.input)
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                read |= _strip_proto(inner, version)
        if not node.domain:
            defaults = onnx.defs.get_schema(node.op_type, version).attributes
            told = [a for a in node.attribute if a.name not in defaults or defaults[a.name].default_value != a]
            del node.attribute[:]
            node.attribute.extend(told)
    return read
