"""How many architectures of a space are priced in a second of one core: closed forms against counting on meta.

    python studies/benchmarks/oracle.py [SPACE] [N]

CPU time of this process, one thread; the ratio is what carries over to other machines.
"""

import random
import sys
import time

import torch

from objectives.counting import count
from searchspaces import SEARCH_SPACES, architecture_cost, build


def main(name: str = "mixing", n: int = 20_000) -> None:
    """Prints rates for decoding, pricing by closed forms (cold and warm), and counting."""
    torch.set_num_threads(1)
    space, generator = SEARCH_SPACES[name]((3, 32, 32), 10), random.Random(0)
    picks = [space.draw(generator) for _ in range(n)]
    rates = {}

    def timed(what: str, times: int, started: float) -> None:
        rates[what] = times / (time.process_time() - started)
        print(f"{what:32} {rates[what]:12,.0f} a second")

    started = time.process_time()
    architectures = [space.decode(p) for p in picks]
    timed("decode picks", n, started)
    for what in ("closed forms, first time", "closed forms, seen parts"):
        started = time.process_time()
        for architecture in architectures:
            architecture_cost(architecture)
        timed(what, n, started)
    started = time.process_time()
    for architecture in architectures[:30]:
        with torch.device("meta"):
            count(build(architecture), architecture.input)
    timed("counting on the meta device", 30, started)
    ratio = rates["closed forms, first time"] / rates["counting on the meta device"]
    print(f"closed forms against counting: {ratio:,.0f}x")


if __name__ == "__main__":
    main(*sys.argv[1:2], *(int(n) for n in sys.argv[2:3]))
