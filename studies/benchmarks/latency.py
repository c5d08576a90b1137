"""How well measurements of one network's latency agree: by the ratio to a reference, as the objective, and by minima.

python studies/benchmarks/latency.py [--busy 2] [--repeats 16]
"""

import argparse
import itertools
import multiprocessing
import time

import torch

from objectives import Candidate
from objectives.latency import AGREEMENT, LatencyMs, Throughput, Timed
from searchspaces import SEARCH_SPACES, Shape, build

CASES: tuple[tuple[str, Shape, Timed], ...] = (
    ("convmixer, 1x8x8, batch 1", (1, 8, 8), LatencyMs()),
    ("convmixer, 3x32x32, batch 1", (3, 32, 32), LatencyMs()),
    ("convmixer, 1x8x8, batch 64", (1, 8, 8), Throughput()),
)


def burn() -> None:
    """Keeps a core and its memory busy."""
    torch.set_num_threads(1)
    square, long = torch.rand(600, 600), torch.rand(3_000_000)
    while True:
        square @ square
        long.add_(1)


def compare(name: str, shape: Shape, objective: Timed, repeats: int) -> None:
    """Prints how many pairs of measurements differ by more than is promised."""
    space = SEARCH_SPACES["convmixer"](shape, 10)
    model, started = build(space.decode(space.first)), time.perf_counter()
    ones = [Candidate(model, shape) for _ in range(repeats)]
    values = [objective.measure(one) for one in ones]
    minima = [objective.times(one).settings()["minimum_ms"] for one in ones]
    seconds = (time.perf_counter() - started) / repeats
    apart = [p for p in itertools.combinations(values, 2) if max(p) > (1 + AGREEMENT) * min(p)]
    unsaid = sum(not getattr(a, "flags", ()) and not getattr(b, "flags", ()) for a, b in apart)
    by_minima = sum(max(p) > (1 + AGREEMENT) * min(p) for p in itertools.combinations(minima, 2))
    flagged = sum(bool(getattr(value, "flags", ())) for value in values)
    print(
        f"{name}: of {repeats * (repeats - 1) // 2} pairs {by_minima} differ by over 5 % by minima, {len(apart)} by "
        f"the objective, {unsaid} of them unflagged; {flagged} of {repeats} flagged; {seconds:.1f} s each"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=0, help="processes that keep the machine busy meanwhile")
    parser.add_argument("--repeats", type=int, default=16, help="measurements of each network")
    options = parser.parse_args()
    others = [multiprocessing.get_context("spawn").Process(target=burn, daemon=True) for _ in range(options.busy)]
    for other in others:
        other.start()
    try:
        for case in CASES:
            compare(*case, options.repeats)
    finally:
        for other in others:
            other.terminate()
