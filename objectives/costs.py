"""What a candidate costs, known from its shapes alone: nothing is allocated or trained."""

from dataclasses import dataclass
from typing import Any, ClassVar

from objectives.objective import Candidate, Direction, Needs, Objective, Scale, objective


@dataclass(frozen=True)
class Count(Objective):
    """A positive number to be kept small, compared by its logarithm."""

    field: ClassVar[str]
    direction: ClassVar[Direction] = "minimize"
    needs: ClassVar[Needs] = "shapes"
    scale: ClassVar[Scale] = "count"

    def measure(self, candidate: Candidate) -> float:
        return float(getattr(candidate.counts, self.field))

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        settings: dict[str, Any] = {"batch": 1, "input": list(candidate.input)}
        if candidate.counts.uncounted:
            settings["uncounted"] = list(candidate.counts.uncounted)
        return settings


@objective("macs")
@dataclass(frozen=True)
class Macs(Count):
    """Multiply-accumulates of matrix products and convolutions for one image."""

    field: ClassVar[str] = "macs"
    unit: ClassVar[str] = "MACs"


@objective("flops")
@dataclass(frozen=True)
class Flops(Count):
    """Floating-point operations for one image: 2 macs + transforms + element-wise work."""

    field: ClassVar[str] = "flops"
    unit: ClassVar[str] = "FLOPs"


@objective("parameters")
@dataclass(frozen=True)
class Parameters(Count):
    """Parameters, frozen ones included."""

    field: ClassVar[str] = "parameters"
    unit: ClassVar[str] = "parameters"


@objective("trainable_parameters")
@dataclass(frozen=True)
class TrainableParameters(Count):
    """Parameters that are trained."""

    field: ClassVar[str] = "trainable_parameters"
    unit: ClassVar[str] = "parameters"


@objective("checkpoint_bytes")
@dataclass(frozen=True)
class CheckpointBytes(Count):
    """Bytes of all parameters and buffers that are stored, in float32."""

    field: ClassVar[str] = "checkpoint_bytes"
    unit: ClassVar[str] = "bytes"
