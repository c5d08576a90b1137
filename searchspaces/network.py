"""From an `Architecture` to its ``nn.Module``."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from searchspaces.architecture import Architecture


class Normalize(nn.Module):
    """``(x - mean) / std`` per channel, the first layer of every network: inputs and attacks are in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean[:, None, None]) / self.std[:, None, None]


class Network(nn.Module):
    """Module of an architecture: pixels ``(B, C, H, W)`` in [0, 1] -> logits ``(B, classes)``, or ``(B, *outputs)``."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        shape = architecture.input
        self.normalize = Normalize(shape[0])
        self.stem = architecture.stem.build(shape)
        shape = architecture.stem.output(shape)
        blocks = []
        for stage in architecture.stages:
            if stage.downsample is not None:
                blocks.append(stage.downsample.build(shape))
                shape = stage.downsample.output(shape)
            for _ in range(stage.depth):
                blocks.append(stage.block.build(shape))
                shape = stage.block.output(shape)
        self.blocks = nn.Sequential(*blocks)
        head = architecture.head
        self.head = head.build(shape)
        self.classifier = head.readout(head.output(shape), architecture.outputs)  # so named in all stored weights

    def features(self, x: Tensor) -> Tensor:
        """``(B, F)``: what the classifier reads."""
        y: Tensor = self.head(self.blocks(self.stem(self.normalize(x))))
        return y

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.features(x))
        return y


class InstanceNormalize(nn.Module):
    """Every row of ``(B, C, H, W)`` without its mean and divided by its deviation, with both, ``(B, C, H, 1)``.

    Both count as constants for the gradient, as published.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean = x.detach().mean(3, keepdim=True)
        centred = x - mean
        std = (centred.detach().square().mean(3, keepdim=True) + 1e-5).sqrt()
        return centred / std, mean, std


class ReversibleNetwork(Network):
    """A network whose rows are normalised one by one, and whose outputs are brought back to their scale."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self.instance = InstanceNormalize()

    def features(self, x: Tensor) -> Tensor:
        """``(B, F)``: what the last layer reads."""
        rows, _, _ = self.instance(self.normalize(x))
        y: Tensor = self.head(self.blocks(self.stem(rows)))
        return y

    def forward(self, x: Tensor) -> Tensor:
        rows, mean, std = self.instance(self.normalize(x))
        y: Tensor = self.classifier(self.head(self.blocks(self.stem(rows))))
        restored: Tensor = y * std + mean
        return restored


@runtime_checkable
class Fusable(Protocol):
    """A module with a form that is cheaper to run than the one that defines it."""

    fused: bool


def build(architecture: Architecture, *, seed: int = 0, fused: bool = True) -> Network:
    """Network of ``architecture`` with weights drawn from ``seed``, on the current default device.

    Under ``torch.device("meta")`` nothing is allocated. The caller's random state is left as it was.

    Args:
        fused: the form that is run; False for the reference form, whose multiply-accumulates are ``Cost.macs``.

    Raises:
        ValueError: if a node cannot take the shape that reaches it, with the values that it can take.

    Example: ``build(space.decode(space.first), seed=1)``.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        kind = ReversibleNetwork if architecture.head.reversible else Network
        network = kind(architecture.canonical())
    for module in network.modules():
        if not fused and isinstance(module, Fusable):
            module.fused = False
    return network
