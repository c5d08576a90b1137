"""What networks are worth where nobody trains them: objectives of which a benchmark knows the answers."""

from dataclasses import dataclass
from typing import ClassVar

from objectives.objective import Candidate, Direction, Needs, Objective, Scale, objective


@objective("looked_up")
@dataclass(frozen=True)
class LookedUp(Objective):
    """A fraction that is known already.

    Args:
        column: which of them.
    """

    column: str = "accuracy"
    direction: ClassVar[Direction] = "maximize"
    needs: ClassVar[Needs] = "training"
    scale: ClassVar[Scale] = "fraction"

    def measure(self, candidate: Candidate) -> float:
        raise NotImplementedError("it is looked up, not measured.")


OBJECTIVES = {
    "objectives": ["accuracy", "robust", "macs"],
    "objective": {name: {"kind": "looked_up", "column": name} for name in ("accuracy", "robust")},
}
"""Tables of a study whose two fractions are looked up."""
