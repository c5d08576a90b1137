"""The weights of one network in another: layers at the same place, of the same kind and the same shapes.

A layer is copied as a whole or not at all: a bias says nothing without its weights. What training does not change
(frozen parameters, masks, drawn matrices) is part of what a network is, so a layer that holds such things is copied
only between nodes of equal specs; averages of normalisation layers are learned like weights. A place is the level (how
often the network was downsampled) and the number of the block in it, because equal stages are merged in canonical form.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from searchspaces.architecture import Architecture, Shape, Spec
from searchspaces.network import Network, build


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Args:
        tensors: name of each tensor in the layer -> its name in the state dict.
        parameters: numbers in it that are parameters; of tied ones only in the first layer that has them.
    """

    tensors: Mapping[str, str]
    parameters: int


@dataclass(frozen=True)
class Layout:
    """The layers of a network by all that must agree for one to take the weights of another.

    Args:
        parameters: of the whole network.
    """

    layers: Mapping[str, Layer]
    parameters: int

    @classmethod
    def of(cls, architecture: Architecture) -> "Layout":
        """That of an architecture; nothing is allocated.

        Raises:
            ValueError: if the network cannot be built.
        """
        with torch.device("meta"):
            network = build(architecture)
        layers, seen, total = {}, set[int](), 0
        for place, prefix, node, root in _places(architecture.canonical(), network):
            for name, module, kinds in _layers(root, prefix, ()):
                own = dict(module.named_parameters(recurse=False))
                fresh = [tensor for tensor in own.values() if id(tensor) not in seen]
                seen |= {id(tensor) for tensor in fresh}
                parameters = sum(tensor.numel() for tensor in fresh)
                kept = own | _kept_buffers(module)
                shapes = ",".join(f"{k} {tuple(t.shape)} {t.dtype} {t.requires_grad}" for k, t in kept.items())
                fixed = node if _is_fixed(module) else ""
                identity = f"{place}{name.removeprefix(prefix)}|{'/'.join(kinds)}|{shapes}|{fixed}"
                layers[identity] = Layer({k: f"{name}.{k}" for k in kept}, parameters)
                total += parameters
        return cls(layers, total)

    def shared(self, other: "Layout") -> float:
        """Share of the parameters of this network, from 0 to 1, that lie in layers of the other one too."""
        known = other.layers
        return sum(layer.parameters for key, layer in self.layers.items() if key in known) / max(self.parameters, 1)


def inherit(network: Network, layout: Layout, weights: Mapping[str, Tensor], of: Layout) -> float:
    """Copies into ``network`` what it shares with another one; returns the share of its parameters that was copied.

    Args:
        layout: of the network.
        weights: state dict of the other network, and
        of: its layout.
    """
    copied = dict[str, Tensor]()
    for key, layer in layout.layers.items():
        if (same := of.layers.get(key)) is not None:
            copied |= {name: weights[same.tensors[k]] for k, name in layer.tensors.items()}
    network.load_state_dict(copied, strict=False)
    return layout.shared(of)


def _places(architecture: Architecture, network: Network) -> Iterator[tuple[str, str, str, nn.Module]]:
    """Place, name in the network, description of what it is, and module, of every node that has a spec."""

    def described(spec: Spec, shape: Shape) -> str:
        return f"{spec!r}{shape}"

    shape, level, inside, number = architecture.input, 0, 0, 0
    yield "stem", "stem", described(architecture.stem, shape), network.stem
    shape = architecture.stem.output(shape)
    for stage in architecture.stages:
        if stage.downsample is not None:
            level, inside = level + 1, 0
            yield f"{level}.down", f"blocks.{number}", described(stage.downsample, shape), network.blocks[number]
            shape, number = stage.downsample.output(shape), number + 1
        for _ in range(stage.depth):
            yield f"{level}.{inside}", f"blocks.{number}", described(stage.block, shape), network.blocks[number]
            shape, number, inside = stage.block.output(shape), number + 1, inside + 1
    head = described(architecture.head, shape)
    yield "head", "head", head, network.head
    yield "classifier", "classifier", head, network.classifier


def _layers(module: nn.Module, name: str, above: tuple[str, ...]) -> Iterator[tuple[str, nn.Module, tuple[str, ...]]]:
    """Name, module and kinds of it and all above it, of every module that has tensors of its own."""
    kinds = (*above, f"{type(module).__module__}.{type(module).__qualname__}")
    if next(module.parameters(recurse=False), None) is not None or _kept_buffers(module):
        yield name, module, kinds
    for inner, child in module.named_children():
        yield from _layers(child, f"{name}.{inner}", kinds)


def _kept_buffers(module: nn.Module) -> dict[str, Tensor]:
    """The buffers of a module that its state dict holds."""
    left_out = module._non_persistent_buffers_set
    return {name: buffer for name, buffer in module.named_buffers(recurse=False) if name not in left_out}


def _is_fixed(module: nn.Module) -> bool:
    """Whether a layer holds what training does not change."""
    frozen = any(not parameter.requires_grad for parameter in module.parameters(recurse=False))
    return frozen or (bool(_kept_buffers(module)) and not isinstance(module, _NormBase))
