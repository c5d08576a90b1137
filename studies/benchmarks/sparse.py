"""What a training step of an SW-MLP block takes in memory and time, by the form of its matrices.

    python studies/benchmarks/sparse.py [--sides N ...] [--batch B] [--steps N]

A block has S = C tokens and channels, m = S C, gamma 2 and the density of a Mixer. Each form runs in a process of its
own: memory is the most that it held beyond what it had imported, with AdamW; time is CPU time of one thread, a median.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.layers.sparse import Mask
from searchspaces.operators.sparse_mlp import Form, SparseChannelMLP, SparseMLP

FORMS: tuple[tuple[Form, Mask], ...] = (("masked", "exact"), ("csr", "exact"), ("csr", "fan_in"))
GAMMA = 2.0


def held() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def step(form: Form, mask: Mask, side: int, batch: int, steps: int) -> dict[str, float]:
    """Memory in MB and time in ms of a training step, and number of parameters."""
    torch.set_num_threads(1)
    images, before = torch.randn(batch, side, side, 1), held()
    token = SparseMLP(expansion=GAMMA, form=form, mask=mask)
    block = MetaFormerBlock(token, SparseChannelMLP(expansion=GAMMA, form=form, mask=mask)).build((side, side, 1))
    optimizer = torch.optim.AdamW(block.parameters(), foreach=False)
    times = []
    for _ in range(steps + 1):  # the first allocates
        start = time.process_time()
        optimizer.zero_grad()
        block(images).square().mean().backward()
        optimizer.step()
        times.append(time.process_time() - start)
    parameters = sum(parameter.numel() for parameter in block.parameters())
    return {"mb": held() - before, "ms": 1e3 * statistics.median(times[1:]), "parameters": parameters}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # form, mask and side of a process of its own
    options = parser.parse_args()
    if options.one:
        form, mask, side = options.one
        print(json.dumps(step(form, mask, int(side), options.batch, options.steps)))
        return
    print("| gamma m | density | form | parameters | memory, MB | step, ms |\n|--:|--:|---|--:|--:|--:|")
    for side in options.sides:
        for form, mask in FORMS:
            command = [sys.executable, __file__, "--one", form, mask, str(side)]
            command += ["--batch", str(options.batch), "--steps", str(options.steps)]
            found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            size = f"{int(GAMMA) * side**2:,} | 1/{side} | `{form}`, {mask}"
            print(f"| {size} | {found['parameters']:,} | {found['mb']:,.0f} | {found['ms']:,.1f} |", flush=True)


if __name__ == "__main__":
    main()
