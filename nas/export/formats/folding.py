"""Graphs of trained networks made cheaper to run, where it is measured to gain at a stated batch.

Three things change: a batch norm goes into the convolution before it, or into the 1x1 convolution after it; what is
computed from weights alone is computed once, as a masked matrix is; and frozen separable convolutions run as depthwise
and pointwise, or as one dense kernel, whichever is faster. Permutations are left: a norm or a residual stands
between any two. ``model.py`` keeps the definition.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule, Node

from objectives.latency import in_turns
from searchspaces import Shape
from searchspaces.network import Fusable

CONVOLUTIONS = (torch.ops.aten.conv2d.default, torch.ops.aten.conv2d.padding)
NORM = torch.ops.aten.batch_norm.default
SECONDS = 2.0
"""That finding the fastest graph takes, about."""
GAIN, DENSE_GAIN = 0.02, 0.1
"""Share of the time that folding must save; and dense kernels, which take more memory than what they are made of."""


@dataclass(frozen=True)
class Folding:
    """What was made cheaper in a graph.

    Args:
        batch: images at a time, for which it was decided.
        norms: that went into a convolution.
        constants: tensors that were computed from weights at every pass.
        dense: separable convolutions that run as one dense kernel, made once.
        split: those that run as depthwise and pointwise, although they are trained as one kernel.
        before, after: milliseconds of a pass, one thread, the least of several in turn.
    """

    batch: int
    norms: int = 0
    constants: int = 0
    dense: int = 0
    split: int = 0
    before: float = 0.0
    after: float = 0.0

    def __str__(self) -> str:
        parts = (
            (self.norms, "batch norm", "in convolutions"),
            (self.constants, "tensor", "computed once"),
            (self.dense, "separable convolution", "as one kernel"),
            (self.split, "separable convolution", "in two parts"),
        )
        what = ", ".join(f"{number} {one}{'s' * (number > 1)} {how}" for number, one, how in parts if number)
        many = "one image" if self.batch == 1 else f"{self.batch} images"
        return f"{what}: {many} in {self.after:.2f} ms for {self.before:.2f}, one thread"


def exported(network: nn.Module, shape: Shape) -> ExportedProgram:
    """The graph of a network in eval mode, for any batch of (C, H, W) inputs."""
    example = torch.zeros(2, *shape)  # a batch of 1 would be taken for a constant
    return torch.export.export(network, (example,), dynamic_shapes=({0: Dim("batch", min=1)},), strict=False)


def folded(network: nn.Module, shape: Shape, batch: int) -> tuple[ExportedProgram, Folding | None]:
    """The graph that runs fastest at a batch, and what was folded in it; None if nothing, as nothing gains.

    Args:
        network: in eval mode, on the CPU; not changed.
    """
    plain = exported(network, shape)
    tried = list(candidates(network, plain, shape, batch))
    if not tried:
        return plain, None
    images = torch.rand(batch, *shape)
    with torch.no_grad():
        runs = [partial(module, images) for module in (plain.module(), *(graph for graph, _ in tried))]
        before, *after = in_turns(runs, seconds=SECONDS)
    if (place := fastest(before, after, [folding.dense > 0 for _, folding in tried])) is None:
        return plain, None
    graph, folding = tried[place]
    return exported(graph, shape), replace(folding, before=before, after=after[place])


def candidates(
    network: nn.Module, plain: ExportedProgram, shape: Shape, batch: int = 1
) -> Iterator[tuple[GraphModule, Folding]]:
    """The folded graphs of a network, which differ in how separable convolutions run.

    Args:
        plain: its graph.
    """
    fused = sum(isinstance(module, Fusable) and module.fused for module in network.modules())
    if fused:
        yield fold(exported(_split(network), shape), Folding(batch, split=fused))
    graph, folding = fold(plain, Folding(batch, dense=fused), grow=bool(fused))
    if folding != Folding(batch):
        yield graph, folding


def fastest(before: float, after: Sequence[float], dense: Sequence[bool]) -> int | None:
    """Place of the form to take; None if none gains enough.

    Args:
        before: milliseconds of a pass of what is not folded.
        after: of each form.
        dense: whether it takes more memory.
    """
    place = min(range(len(after)), key=lambda i: after[i] * (1 + DENSE_GAIN * dense[i]))
    return place if after[place] <= (1 - GAIN) * before else None


def _split(network: nn.Module) -> nn.Module:
    """A copy of a network whose separable convolutions run as they are defined."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, Fusable):
            module.fused = False
    return network


def fold(program: ExportedProgram, folding: Folding, *, grow: bool = False) -> tuple[GraphModule, Folding]:
    """A cheaper graph, and what was folded in it.

    Args:
        grow: also compute once what takes more memory than what it is computed from.
    """
    try:
        module = program.module(check_guards=False)
    except TypeError:  # torch 2.6 does not check inputs yet
        module = program.module()
    assert isinstance(module, GraphModule)
    graph = _Graph(module)
    constants = graph.fold_constants(grow=grow)  # first: a kernel that is made once takes a norm as any other does
    norms = graph.fold_norms()
    return graph.finished(), Folding(folding.batch, norms, constants - folding.dense, folding.dense, folding.split)


class _Graph:
    """A graph that is being folded."""

    def __init__(self, module: GraphModule) -> None:
        self.module, self.graph, self.made = module, module.graph, 0

    def finished(self) -> GraphModule:
        """What is left of it, with the tensors and graphs that it reads and no others."""
        self.graph.eliminate_dead_code()
        self.graph.lint()
        read = {str(n.target): _attribute(self.module, str(n.target)) for n in self.graph.nodes if n.op == "get_attr"}
        read = {name: value.detach() if isinstance(value, Tensor) else value for name, value in read.items()}
        for name in (node.target for node in self.graph.nodes if node.op == "call_module"):
            read[str(name)] = self.module.get_submodule(str(name))
        return GraphModule(read, self.graph).eval()

    def _tensor(self, node: Node) -> Tensor:
        found = _attribute(self.module, str(node.target))
        assert isinstance(found, Tensor)
        return found.detach()

    def _added(self, tensor: Tensor, before: Node) -> Node:
        """A node that reads a new tensor."""
        name, self.made = f"folded_{self.made}", self.made + 1
        self.module.register_buffer(name, tensor.detach().contiguous().clone())
        with self.graph.inserting_before(before):
            return self.graph.get_attr(name)

    def fold_norms(self) -> int:
        """Number of batch norms that went into a convolution."""
        found = 0
        for norm in [node for node in self.graph.nodes if node.target is NORM]:
            if norm.args[5]:  # in training
                continue
            before, users = norm.args[0], list(norm.users)
            if before.target in CONVOLUTIONS and len(before.users) == 1 and self._reads_weights(before):
                self._into_previous(before, norm)
            elif len(users) == 1 and self._is_pointwise(users[0], norm):
                self._into_next(norm, users[0])
            else:
                continue
            found += 1
        return found

    def _reads_weights(self, convolution: Node) -> bool:
        weight, bias = convolution.args[1], _bias(convolution)
        return all(node is None or (isinstance(node, Node) and node.op == "get_attr") for node in (weight, bias))

    def _is_pointwise(self, node: Node, norm: Node) -> bool:
        """Whether a node is a dense 1x1 convolution of a norm: the border of a larger one would see the shift."""
        if node.target is not CONVOLUTIONS[0] or node.args[0] is not norm or not self._reads_weights(node):
            return False
        padding, groups = _argument(node, 4, [0, 0]), _argument(node, 6, 1)
        weight = self._tensor(node.args[1])  # type: ignore[arg-type]
        return groups == 1 and not any(padding) and weight.shape[2:] == (1, 1)

    def _scale_and_shift(self, norm: Node) -> tuple[Tensor, Tensor]:
        """(C,) each, in double: what a norm multiplies by and adds."""
        weight, bias, mean, variance = (
            self._tensor(node).double() if isinstance(node, Node) else None for node in norm.args[1:5]
        )
        assert mean is not None
        assert variance is not None
        scale = torch.rsqrt(variance + float(norm.args[7]))  # type: ignore[arg-type]
        scale = scale if weight is None else scale * weight
        return scale, (0 if bias is None else bias) - mean * scale

    def _replace(self, convolution: Node, weight: Tensor, bias: Tensor, like: Tensor) -> None:
        first = self._added(weight.to(like.dtype), convolution), self._added(bias.to(like.dtype), convolution)
        convolution.args = (convolution.args[0], *first, *convolution.args[3:])

    def _into_previous(self, convolution: Node, norm: Node) -> None:
        scale, shift = self._scale_and_shift(norm)
        weight, bias = self._weights(convolution)
        scaled = weight.double() * scale.view(-1, *[1] * (weight.dim() - 1))
        self._replace(convolution, scaled, bias * scale + shift, weight)
        norm.replace_all_uses_with(convolution)
        self.graph.erase_node(norm)

    def _into_next(self, norm: Node, convolution: Node) -> None:
        scale, shift = self._scale_and_shift(norm)
        weight, bias = self._weights(convolution)
        flat = weight.double().flatten(1)  # (out, in)
        self._replace(convolution, (flat * scale).view_as(weight), bias + flat @ shift, weight)
        convolution.replace_input_with(norm, norm.args[0])  # type: ignore[arg-type]
        self.graph.erase_node(norm)

    def _weights(self, convolution: Node) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution, the bias in double."""
        weight, bias = self._tensor(convolution.args[1]), _bias(convolution)  # type: ignore[arg-type]
        known = torch.zeros(len(weight)) if bias is None else self._tensor(bias)
        return weight, known.double()

    def fold_constants(self, *, grow: bool) -> int:
        """Number of tensors that are now computed once."""
        sources: dict[Node, set[Node]] = {}
        values: dict[Node, Any] = {}
        for node in self.graph.nodes:
            if node.op == "get_attr" and isinstance(_attribute(self.module, str(node.target)), Tensor):
                sources[node], values[node] = {node}, self._tensor(node)
            elif _is_pure(node) and all(before in values for before in node.all_input_nodes):
                args = torch.fx.map_arg((node.args, node.kwargs), lambda n: values[n])
                with torch.no_grad():
                    values[node] = node.target(*args[0], **args[1])
                sources[node] = set[Node]().union(*(sources[before] for before in node.all_input_nodes))
        found = 0
        for node in list(values):
            worth = _computes(node, values) and isinstance(values[node], Tensor)
            if not worth or all(user in values for user in node.users):
                continue
            if grow or values[node].nbytes <= sum(self._tensor(source).nbytes for source in sources[node]):
                node.replace_all_uses_with(self._added(values[node], node))
                found += 1
        return found


def _attribute(module: nn.Module, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _argument(node: Node, place: int, otherwise: Any) -> Any:
    return node.args[place] if len(node.args) > place else otherwise


def _bias(convolution: Node) -> Any:
    return _argument(convolution, 2, None)


def _is_pure(node: Node) -> bool:
    """Whether a node is an operator that changes nothing and draws nothing."""
    target = node.target
    if node.op != "call_function" or not isinstance(target, torch._ops.OpOverload):
        return False
    return not target._schema.is_mutable and torch.Tag.nondeterministic_seeded not in target.tags


def _computes(node: Node, known: Iterable[Node]) -> bool:
    """Whether anything was computed on the way to a constant; a view of a weight costs nothing."""
    if node.op == "get_attr" or node not in known:
        return False
    target = node.target
    assert isinstance(target, torch._ops.OpOverload)
    return not target.is_view or any(_computes(before, known) for before in node.all_input_nodes)
