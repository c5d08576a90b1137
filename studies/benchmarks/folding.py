"""What folding the graph of a known network gains at a batch, and how near its outputs stay.

    python studies/benchmarks/folding.py [--networks NAME ...] [--batches N ...]

Weights are random, statistics of norms those of one pass; milliseconds are the least of several passes in turn, one
thread. What gains too little is written as it is defined. Beside it what our own form takes, and the same network with
every convolution run as it is defined.
"""

import argparse
from dataclasses import asdict
from functools import partial

import torch

from nas.export.formats.folding import folded
from objectives.latency import in_turns
from searchspaces import build
from searchspaces.known import known_network

NETWORKS = ("resnet18_d1", "resnet20_d9,freeze=chans", "resnet18_d9,freeze=chans", "convmixer_256_8", "spartan_t")
PARTS = {"norms": "norms", "constants": "constants", "dense": "as one kernel", "split": "in two parts"}


def row(name: str, batch: int) -> str:
    """A line of the table."""
    architecture = known_network(name)
    network = build(architecture)
    with torch.no_grad():
        network(torch.rand(16, *architecture.input))
    network.eval()
    defined = build(architecture, fused=False).eval()
    images = torch.rand(batch, *architecture.input)
    with torch.no_grad():
        own = "{:.1f}, {:.1f}".format(*in_turns([partial(network, images), partial(defined, images)], seconds=4))
    program, folding = folded(network, architecture.input, batch)
    if folding is None:
        return f"| `{name}` | {batch} | {own} | nothing | | | |"
    module = program.module()
    with torch.no_grad():
        wanted = network(images)
        apart = float((module(images) - wanted).abs().max() / wanted.abs().max())
    known = asdict(folding)
    what = ", ".join(f"{known[part]} {words}" for part, words in PARTS.items() if known[part])
    size = sum(t.nbytes for t in program.state_dict.values()) / sum(t.nbytes for t in network.state_dict().values())
    gain = f"{folding.before:.1f} -> {folding.after:.1f}"
    return f"| `{name}` | {batch} | {own} | {what} | {gain} | {size:.2f} | {apart:.0e} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| network | batch | own form, as defined: ms | folded | ms | weights, of those before | largest difference |"
    )
    print("|---|--:|---|---|---|---|---|")
    for name in options.networks:
        for batch in options.batches:
            print(row(name, batch), flush=True)


if __name__ == "__main__":
    main()
