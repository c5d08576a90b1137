"""Time of a forward pass, as a ratio to a reference network that runs in turn with it.

On a shared machine the time of one network, the minimum included, drifts by half within seconds: other processes slow
the whole core. They slow the reference alike. So the value is the median over rounds of the ratio of both minima, times
the reference's own time, which is found once in each process. ``studies/benchmarks/latency.py`` compares the two: of
66 pairs of measurements on two busy cores, 22 and 49 differed by over 5 % by the minimum (two networks), 2 and none by
the ratio without a flag. Large batches wait for memory too, which no reference shows: there nearly all are flagged.
"""

import copy
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from objectives.devices import device_of, device_settings
from objectives.objective import Candidate, Direction, Estimate, Needs, Objective, Scale, objective

WARM_UPS = 10
RUNS = 5
"""Forward passes of either network in a round, of which the fastest counts."""
ROUNDS = 10
"""In a stretch, which has copies of its own: where weights lie in memory changes the time by some percent."""
STRETCHES = 5, 20
"""At least, and at most."""
AGREEMENT = 0.05
"""By which two measurements may differ; one that cannot promise it carries the flag `NOISY`."""
NOISY = "noisy_clock"
TURNS, PASSES = (5, 50), 3
"""Turns of what is timed `in_turns`, at least and at most, and runs in a turn: the first finds its data elsewhere."""
IN_TURNS_SECONDS = 10.0


@dataclass(frozen=True)
class Times:
    """Fastest runs of each round in milliseconds.

    Args:
        network, reference: one for each round.
        reference_ms: of the reference on this device when nothing else slows it; None to use its own times.
    """

    network: Sequence[float]
    reference: Sequence[float]
    reference_ms: float | None

    @property
    def ratios(self) -> list[float]:
        """Network to reference, round by round; milliseconds where the reference does not matter."""
        if self.reference_ms is None:
            return list(self.network)
        return [mine / other for mine, other in zip(self.network, self.reference, strict=True)]

    @property
    def milliseconds(self) -> float:
        """Time of the network."""
        return statistics.median(self.stretches) * (self.reference_ms or 1.0)

    @property
    def stretches(self) -> list[float]:
        """Median ratio of each stretch."""
        return [statistics.median(self.ratios[i : i + ROUNDS]) for i in range(0, len(self.network), ROUNDS)]

    @property
    def error(self) -> float:
        """Standard error of the median of the stretches, as a share of it; rounds of one stretch are too alike."""
        found = self.stretches
        if len(found) < 2:
            return math.inf
        return 1.2533 * statistics.stdev(found) / math.sqrt(len(found)) / statistics.median(found)

    @property
    def agrees(self) -> bool:
        """Whether two such measurements differ by less than `AGREEMENT`: 3.5 errors, because few stretches count."""
        return 3.5 * math.sqrt(2) * self.error < AGREEMENT

    def settings(self) -> dict[str, Any]:
        """All of it that tells how noisy the clock was, as JSON."""
        low, *_ = statistics.quantiles(self.network, n=5)
        return {
            "rounds": len(self.network),
            "minimum_ms": round(min(self.network), 6),
            "p20_ms": round(low, 6),
            "reference_ms": round(self.reference_ms or min(self.reference), 6),
            "reference_p20_ms": round(statistics.quantiles(self.reference, n=5)[0], 6),
            "relative_error": round(self.error, 4) if math.isfinite(self.error) else None,
        }


@dataclass(frozen=True)
class Timed(Objective):
    """A figure of the clock, on one thread of a CPU or on a GPU; untrained weights are enough.

    Args:
        batch: images in a forward pass.
        reference_ms: of the reference network; unset: found once in each process. Set it to the value of one record to
            make the records of several processes or machines comparable.
        seconds: after which no further stretch of measuring starts; more of them make fewer values noisy.
    """

    batch: int = 1
    reference_ms: float | None = None
    seconds: float = 2.0

    needs: ClassVar[Needs] = "weights"
    scale: ClassVar[Scale] = "count"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}.")
        if self.reference_ms is not None and not 0 < self.reference_ms < math.inf:
            raise ValueError(f"reference_ms must be above 0, got {self.reference_ms}.")

        if not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds must be above 0, got {self.seconds}.")

    def times(self, candidate: Candidate) -> Times:
        """The times of a candidate, measured once."""
        key = ("times", self.batch, self.reference_ms, self.seconds)
        return candidate.once(key, lambda: measured(candidate, *key[1:]))

    def estimate(self, value: float, times: Times) -> Estimate:
        """A value with the error of the times."""
        flags = () if times.agrees else (NOISY,)
        n, error = len(times.network) * RUNS, value * times.error if math.isfinite(times.error) else None
        return Estimate(value, standard_error=error, n=n, kind="runs", flags=flags)

    def settings(self, candidate: Candidate) -> dict[str, Any]:
        known = {"batch": self.batch, "input": list(candidate.input)}
        return {**known, **device_settings(candidate.model, threads=1), **self.times(candidate).settings()}


@objective("latency_ms")
@dataclass(frozen=True)
class LatencyMs(Timed):
    """Milliseconds of a forward pass of a batch, compared by their logarithm."""

    direction: ClassVar[Direction] = "minimize"
    unit: ClassVar[str] = "ms"

    def worst(self) -> float:
        return 1000.0 * self.batch  # a second an image

    def measure(self, candidate: Candidate) -> Estimate:
        times = self.times(candidate)
        return self.estimate(times.milliseconds, times)


@objective("throughput")
@dataclass(frozen=True)
class Throughput(Timed):
    """Images a second, in batches, compared by their logarithm."""

    batch: int = 64

    direction: ClassVar[Direction] = "maximize"
    unit: ClassVar[str] = "images/s"

    def worst(self) -> float:
        return 1.0

    def measure(self, candidate: Candidate) -> Estimate:
        times = self.times(candidate)
        return self.estimate(1000 * self.batch / times.milliseconds, times)


def measured(candidate: Candidate, batch: int, reference_ms: float | None, seconds: float) -> Times:
    """Times of copies of the candidate's network, in turn with the reference, until they agree or time is up.

    On a GPU the reference, which waits for launches, says nothing of a network that computes; its times are only kept.
    """
    device = device_of(candidate.model)
    images = torch.rand(batch, *candidate.input, generator=torch.Generator().manual_seed(0)).to(device)
    images = images.contiguous(memory_format=torch.channels_last)
    if device.type != "cpu":
        reference_ms = None
    elif reference_ms is None:
        reference_ms = reference_milliseconds(device)
    network: list[float] = []
    reference: list[float] = []
    started = time.perf_counter()
    with one_thread(), torch.inference_mode():
        while True:
            model = channels_last(copy.deepcopy(candidate.model).eval())
            mine, other = _clocked(partial(model, images), device), _clocked(_reference(device), device)
            for _ in range(WARM_UPS):
                mine(), other()
            for _ in range(ROUNDS):
                pairs = [(mine(), other()) for _ in range(RUNS)]
                network.append(min(pair[0] for pair in pairs))
                reference.append(min(pair[1] for pair in pairs))
            times, late = Times(network, reference, reference_ms), time.perf_counter() - started > seconds
            count = len(times.stretches)
            if late or count >= STRETCHES[1] or (count >= STRETCHES[0] and times.agrees):
                return times


def in_turns(runs: Sequence[Callable[[], Any]], *, seconds: float = IN_TURNS_SECONDS) -> list[float]:
    """Fastest run of each in milliseconds, on one thread of a CPU; they take turns, so that all share what slows them.

    Args:
        runs: what is timed; a turn is `PASSES` of the first, then of the second and so on.
        seconds: after which no further turn starts; there are at least `TURNS[0]` and at most `TURNS[1]`.
    """
    cpu, fastest = torch.device("cpu"), [math.inf] * len(runs)
    with one_thread():
        timed, started = [_clocked(run, cpu) for run in runs], time.perf_counter()
        for run in timed:
            for _ in range(PASSES):  # to warm up
                run()
        for turn in range(TURNS[1]):
            if turn >= TURNS[0] and time.perf_counter() - started > seconds:
                break
            for number, run in enumerate(timed):
                fastest[number] = min(fastest[number], *(run() for _ in range(PASSES)))
    return fastest


@cache
def reference_milliseconds(device: torch.device) -> float:
    """Fastest run of the reference network within half a second; the same for all measurements of a process."""
    with one_thread(), torch.inference_mode():
        run, started, fastest = _clocked(_reference(device), device), time.perf_counter(), math.inf
        while time.perf_counter() - started < 0.5:
            fastest = min(fastest, run())
    return fastest


def _reference(device: torch.device) -> Callable[[], Any]:
    """One forward pass of a fixed network with what most candidates have: convolutions of all kinds, a norm, GELU.

    Of one small image: a batch as large as the network's made it as slow as the system hands out memory, five times so.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.Conv2d(32, 32, 3, padding=1, groups=32),
            nn.GELU(),
            nn.Conv2d(32, 32, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(32, 10),
        )
    image = torch.full((1, 3, 16, 16), 0.5, device=device).contiguous(memory_format=torch.channels_last)
    return partial(channels_last(model.eval().to(device)), image)


def channels_last(model: nn.Module) -> nn.Module:
    """The model with its filters in the memory layout in which networks are trained."""
    laid_out: nn.Module = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return laid_out


def _clocked(run: Callable[[], Any], device: torch.device) -> Callable[[], float]:
    """``run`` that returns the milliseconds it took."""

    def on_cpu() -> float:
        start = time.perf_counter()
        run()
        return 1000 * (time.perf_counter() - start)

    def on_gpu() -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))

    return on_gpu if device.type == "cuda" else on_cpu


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread, where the system can on the processor that it runs on already."""
    threads, allowed = torch.get_num_threads(), None
    torch.set_num_threads(1)
    with suppress(AttributeError, OSError, ValueError, IndexError):  # elsewhere than on Linux
        here = int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {here})
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if allowed is not None:
            os.sched_setaffinity(0, allowed)
