"""How long training took."""

from dataclasses import dataclass
from typing import Any, ClassVar

from objectives.devices import device_settings
from objectives.objective import Candidate, Direction, Needs, Objective, Scale, Timing, objective


@objective("train_seconds")
@dataclass(frozen=True)
class TrainSeconds(Objective):
    """Wall seconds of all epochs, those of an earlier, lost attempt at the mean of the others.

    It depends on the machine and on what else runs there: compare within a study on machines of one kind.
    """

    direction: ClassVar[Direction] = "minimize"
    needs: ClassVar[Needs] = "run"
    scale: ClassVar[Scale] = "count"
    unit: ClassVar[str] = "s"

    def worst(self) -> float:
        return 1e6  # twelve days

    def measure(self, candidate: Candidate) -> float:
        timing = _watched(candidate)
        return timing.epochs * sum(timing.seconds) / len(timing.seconds)

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        timing = _watched(candidate)
        timed = {"epochs": timing.epochs, "timed_epochs": len(timing.seconds)}
        return {**timed, **device_settings(candidate.model)}


def _watched(candidate: Candidate) -> Timing:
    """The timing of whole epochs: the first after an interruption may have been a part of one.

    Raises:
        ValueError: if there is none.
    """
    timing = candidate.timing
    if timing is None or not timing.seconds:
        raise ValueError("train_seconds is known of a training that was watched, but the candidate brings no timing.")
    if len(timing.seconds) < timing.epochs and len(timing.seconds) > 1:
        return Timing(timing.seconds[1:], timing.epochs)
    return timing
