"""Activations by name; an operator that takes only some of them says so with a constant of its own."""

from typing import Literal

from torch import nn

Activation = Literal["gelu", "relu", "silu", "mish"]

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU, "mish": nn.Mish}
