"""What an untrained network says of the trained one: scores that cost a forward or a backward pass."""

import copy
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from objectives.objective import Candidate, Direction, Estimate, Needs, Objective, Scale, objective

NORMS = nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm
SWITCHES = "relu", "gelu", "silu", "mish", "elu", "leaky_relu", "hardswish", "hardtanh", "softplus", "tanh", "sigmoid"
"""Names of the operations that switch a unit on or off; trailing underscores (in place) left out."""
LEAST = 1e-6
"""Of the eigenvalues of a kernel of codes."""


@dataclass(frozen=True)
class ZeroCost(Objective):
    """A positive score of an untrained network to be made large, compared by its logarithm."""

    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "weights"
    scale: ClassVar[Scale] = "count"


@objective("synflow")
@dataclass(frozen=True)
class SynFlow(ZeroCost):
    """Synaptic flow: the sum over all parameters of the size of w dR/dw, R the sum of the outputs for an image of ones.

    Weights are taken without their signs, in float64; norms are skipped, which would undo their sizes. Frozen
    parameters count, since signals flow through them. Gates multiply flows until no number holds them: such a value is
    the largest one, with a flag.

    Source: Tanaka et al. 2020, arXiv:2006.05467; as a proxy, Abdelfattah et al. 2021, arXiv:2101.08134.
    """

    def worst(self) -> float:
        return 1e-3  # of random networks of all spaces it was 7,000 at least

    def measure(self, candidate: Candidate) -> float:
        model = copy.deepcopy(candidate.model).double().eval()
        for module in model.modules():
            if isinstance(module, NORMS):
                module.register_forward_hook(lambda module, inputs, output: inputs[0])
        parameters = list(model.parameters())
        for parameter in parameters:
            parameter.data.abs_()
            parameter.requires_grad_(True)
        ones = torch.ones(1, *candidate.input, dtype=torch.float64, device=parameters[0].device)
        gradients = torch.autograd.grad(model(ones).sum(), parameters, allow_unused=True)
        pairs = zip(parameters, gradients, strict=True)
        score = sum(float((p.detach() * g).abs().sum()) for p, g in pairs if g is not None)
        if not math.isfinite(score):
            return Estimate(sys.float_info.max, flags=("overflow",))
        return max(score, sys.float_info.min)

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return {"input": list(candidate.input), "dtype": "float64"}


@objective("naswot")
@dataclass(frozen=True)
class Naswot(ZeroCost):
    """How differently an untrained network sees images: the geometric mean of the eigenvalues of a kernel of codes.

    A code says which units are on, before every activation; the kernel counts the units that two images have alike. The
    logarithm of the value is the published score, log det K, divided by the number of images.

    Args:
        samples: images, every class in its share.

    Source: Mellor et al. 2021, "Neural architecture search without training", arXiv:2006.04647.
    """

    samples: int = 32

    task: ClassVar[str] = "classification"  # every class has its share of the images

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ValueError(f"samples must be at least 2, got {self.samples}.")

    def worst(self) -> float:
        return 0.99 * LEAST

    @torch.no_grad()
    def measure(self, candidate: Candidate) -> float:
        with _Codes() as codes:
            candidate.model.eval()(candidate.part(self.samples).images)
        return geometric_mean_eigenvalue(codes.kernel)

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        return candidate.part(self.samples).settings()


def geometric_mean_eigenvalue(kernel: Tensor | None) -> float:
    """That of a symmetric matrix with counts; those below `LEAST`, of images that are seen alike, count as that."""
    if kernel is None:  # no activation: all images are seen alike
        return LEAST
    return float(torch.linalg.eigvalsh(kernel.double()).clamp_min(LEAST).log().mean().exp())


class _Codes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up, activation by activation, in how many units each pair of images is alike: ``kernel`` (B, B)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernel: Tensor | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket.__name__.rstrip("_") in SWITCHES:
            on = (args[0] > 0).flatten(1).float()  # before the call, which may work in place
            alike = on @ on.T + (1 - on) @ (1 - on).T
            self.kernel = alike if self.kernel is None else self.kernel + alike
        return func(*args, **(kwargs or {}))
