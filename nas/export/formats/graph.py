"""What the graph of a form costs, counted from the graph itself and not from the network that it was written from.

The functions run in the process without this project (`nas.export.proof`), so each is whole: its source goes there.
Shapes of ONNX tensors are those of a run, not of shape inference, which gives up at the first computed shape.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.pricing import price
from searchspaces import Architecture, Network


@dataclass(frozen=True)
class GraphCosts:
    """What a graph costs.

    Args:
        parameters: numbers in its weights that are parameters; None where the form does not say which are.
        macs: multiply-accumulates of a batch of 1, as run; None where work on weights alone was done when it was made.
        macs_per_image: what each further image adds.
    """

    parameters: int | None
    macs: int | None
    macs_per_image: int


def torch_costs(module: Any, shape: Sequence[int]) -> dict[str, int | None]:
    """`GraphCosts` of a module of torch on the CPU for images of ``shape`` = (C, H, W), as a dict."""
    import math

    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    def bag(weight: Any, indices: Any, *args: Any, **kwargs: Any) -> int:  # how a sparse matrix is applied
        return int(2 * math.prod(indices) * weight[1])

    def attention(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
        return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]

    aten = torch.ops.aten
    more = {
        aten._embedding_bag: bag,
        aten._embedding_bag_forward_only: bag,
        aten._scaled_dot_product_flash_attention_for_cpu: attention,
    }
    rules = FlopCounterMode(display=False, custom_mapping=more).flop_registry

    class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
        flops = 0

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False  # True, as in FlopCounterMode, imports the compiler at the first operation: seconds

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            if rule := rules.get(func.overloadpacket):
                self.flops += rule(*args, **(kwargs or {}), out_val=out)
            return out

    macs = []
    for batch in (1, 2):
        with torch.enable_grad(), Products() as products:  # type: ignore[no-untyped-call]
            module(torch.zeros(batch, *shape))
        macs.append(products.flops // 2)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return {"parameters": parameters, "macs": macs[0], "macs_per_image": macs[1] - macs[0]}


def onnx_costs(path: str, shape: Sequence[int]) -> dict[str, int | None] | None:
    """`GraphCosts` of an ONNX file with the input ``images`` of (B, C, H, W), as a dict; None if it cannot be counted.

    It cannot where products are hidden in subgraphs, functions or operators that are more than one product.
    """
    import math

    import numpy as np
    import onnx
    import onnxruntime

    model = onnx.load(path)
    graph = model.graph
    for node in graph.node:  # of the standard's operators, those in which products would be overlooked
        hidden = node.op_type in ("Attention", "DeformConv", "GRU", "LSTM", "RNN", "QLinearConv", "QLinearMatMul")
        if hidden or node.op_type.endswith("Integer") or node.domain not in ("", "ai.onnx") or model.functions:
            return None
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            return None
    nodes = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum")]
    held = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    ends = {value.name for value in graph.output}
    names = dict.fromkeys(name for node in nodes for name in (*node.input, node.output[0]) if name)
    wanted = [name for name in names if name not in held]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in ends and name != "images")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # the graph as it is written
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

    def macs(node: Any, sides: dict[str, tuple[int, ...]]) -> int:
        settings = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        first, second, out = (sides[name] for name in (node.input[0], node.input[-1], node.output[0]))
        if node.op_type == "Conv":
            return math.prod(out) * math.prod(sides[node.input[1]][1:])
        if node.op_type == "ConvTranspose":
            return math.prod(first) * math.prod(sides[node.input[1]][1:])
        if node.op_type == "MatMul":
            return math.prod(out) * first[-1]
        if node.op_type == "Gemm":
            return math.prod(out) * first[0 if settings.get("transA") else 1]
        left, right = settings["equation"].decode().replace(" ", "").partition("->")[0].split(",")
        return math.prod(dict(zip(left + right, first + second, strict=True)).values())

    found = []
    for batch in (1, 2):
        images = np.zeros((batch, *shape), np.float32)
        asked = [name for name in wanted if name != "images"]
        run = session.run(asked, {"images": images}) if asked else []
        sides = held | {"images": images.shape} | {name: x.shape for name, x in zip(asked, run, strict=True)}
        found.append(sum(macs(node, sides) for node in nodes))
    return {"parameters": None, "macs": None, "macs_per_image": found[1] - found[0]}


TORCH_COSTS, ONNX_COSTS = inspect.getsource(torch_costs), inspect.getsource(onnx_costs)


@dataclass(frozen=True)
class ExpectedCosts:
    """What the graph of an architecture must cost.

    Args:
        macs: of the architecture as it is defined, from its closed forms.
        macs_executed: of the form that is run and exported: separable convolutions fused, masked matrices dense,
            cosine transforms as products.
        macs_per_image: of these, what each further image adds; the rest makes weights of weights once in a pass.
    """

    parameters: int
    macs: int
    macs_executed: int
    macs_per_image: int

    @classmethod
    def of(cls, architecture: Architecture, network: Network) -> ExpectedCosts:
        """Those of an architecture; its network says what is done once for a whole batch."""
        total = price(architecture).total
        counted = torch_costs(network, architecture.input)
        once = (counted["macs"] or 0) - (counted["macs_per_image"] or 0)
        return cls(total.parameters, total.macs, total.macs_executed, total.macs_executed - once)

    def differing(self, found: GraphCosts) -> str:
        """How the costs of a graph differ from these, as the end of a sentence; empty if they do not.

        A graph that an exporter rewrote (``macs`` None) may cost less for each image: sums of products by gathering,
        as of sparse matrices, are no products there. It may not cost more.
        """
        rewritten = found.macs is None
        for number, wanted, unit in (
            (found.parameters, self.parameters, "parameters"),
            (found.macs, self.macs_executed, "multiply-accumulates"),
            (found.macs_per_image, self.macs_per_image, "multiply-accumulates for each image"),
        ):
            if number is not None and number != wanted and not (rewritten and number < wanted):
                return f"it costs {number:,} {unit}, the architecture {wanted:,}"
        return ""
