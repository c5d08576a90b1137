"""MetaFormer layers that read all layers before them, ``(B, C, H, W) -> (B, C, H, W)`` (MambaMixer, 2403.19888)."""

import dataclasses
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape, spec
from searchspaces.blocks.metaformer import MetaFormer, MetaFormerBlock
from searchspaces.costs import Cost, elementwise
from searchspaces.registry import check_least


@spec("dense_metaformer")
@dataclass(frozen=True)
class DenseBlock(MetaFormerBlock):
    """``layers`` MetaFormer layers; each mixer reads a learned average of the outputs of all mixers before it.

    The average replaces the residual: token mixer l reads ``sum_i<l a_i y_T^i + b_i y_C^i``, channel mixer l
    ``sum_i<=l c_i y_T^i + sum_i<l d_i y_C^i``, with the input as y_T^0 and as y_C^0; the output is what the last mixer
    reads and its own output. 2 L^2 + 3 L scalars, which start where the layers are the plain ones one after the other.
    Where mixers are fused, both are one.

    Args:
        layers: L.
    """

    layers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, layers=1)

    @classmethod
    def of(cls, block: MetaFormerBlock, layers: int) -> "DenseBlock":
        """So many layers of a block."""
        return cls(**{field.name: getattr(block, field.name) for field in dataclasses.fields(block)}, layers=layers)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        return {**super().options(shape), "layers": (1, 2, 3)}

    def canonical(self) -> Self:
        simple = super().canonical()
        return simple if simple.mixers() else replace(simple, layers=1)

    def cost(self, shape: Shape) -> Cost:
        size, branches = shape[0] * shape[1] * shape[2], self.layers * len(self.branches())
        plain = super().cost(shape) * self.layers
        if not branches:
            return plain
        terms = branches * (branches + 1) // 2  # branch j reads the input and j outputs
        # In place of the residuals; kept are the input, every output but the last, and the factors of the input.
        averages = elementwise(terms * size + branches + size - branches * size, kept=branches * size)
        factors = terms + branches
        return plain + averages + Cost(parameters=factors, trainable_parameters=factors, kept_once=branches)

    def label(self) -> str:
        return f"dense {self.layers} x ({super().label()})"

    def build(self, shape: Shape) -> nn.Module:
        return DenseLayers(shape, self)


class DenseLayers(nn.Module):
    """Module of `DenseBlock`."""

    def __init__(self, shape: Shape, config: DenseBlock) -> None:
        super().__init__()
        layers = [MetaFormer(shape, config) for _ in range(config.layers)]
        self.branches = nn.ModuleList(b for layer in layers for b in (layer.token, layer.channel) if b is not None)
        """Norm and mixer, one after the other."""
        self.factors = nn.ParameterList(
            torch.tensor([1.0, 0.0, *(1.0 for _ in range(before))]) for before in range(len(self.branches))
        )
        """Of the input, twice, and of each output before."""

    def forward(self, x: Tensor) -> Tensor:
        read, outputs = x, list[Tensor]()
        for branch, factors in zip(self.branches, self.factors, strict=True):
            read = x * (factors[0] + factors[1])
            for output, factor in zip(outputs, factors[2:], strict=True):
                read = torch.addcmul(read, output, factor)
            outputs.append(branch(read))
        return read + outputs[-1] if outputs else x
