"""Random networks of every space in every form of an export: proven or not, how near, how large, how long it takes.

    python studies/benchmarks/exports.py [--networks N] [--known] [--out FILE] [--show]

Networks are drawn from each space in turn, at shapes for which it was made, and proven on 64 random images in processes
that lack this project, as `nas export` proves them on measured ones; with ``--known`` every known network is proven, on
7 images of the size for which it is known. Each is a line of FILE; what stands there is not done again. Graphs are
folded for one image where that gains; the others must cost what the architecture costs.
"""

import argparse
import random
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median
from typing import Any

import safetensors.torch
import torch
from kept import keep, kept

from nas.export.formats import FORMATS, Taken, missing
from nas.export.formats.graph import ExpectedCosts
from nas.export.forms import proven
from nas.export.proof import Proof, answers
from nas.pricing import price
from searchspaces import SEARCH_SPACES, Architecture, build
from searchspaces.architecture import Shape
from searchspaces.known import KNOWN

SHAPES: dict[str, Shape] = {"asm_rh": (1, 64, 96), "wide_sparse": (1, 28, 28), "mixing": (3, 16, 16)}
USUAL: Shape = (3, 32, 32)
LARGEST = 20_000_000
"""Parameters of a network that is tried."""


def drawn() -> Iterator[tuple[str, int, Architecture]]:
    """Random networks of all spaces in turn, each with its space and number."""
    spaces = {name: SEARCH_SPACES[name](SHAPES.get(name, USUAL), 10) for name in sorted(SEARCH_SPACES)}
    number = 0
    while True:
        for name, space in spaces.items():
            generator = random.Random(number)
            while (architecture := space.network(space.draw(generator))) is None:
                pass
            yield name, number, architecture
        number += 1


def known() -> Iterator[tuple[str, int, Architecture]]:
    """All known networks, the small ones first."""
    networks = [(name, network()) for name, network in KNOWN.items()]
    for number, (name, architecture) in enumerate(sorted(networks, key=lambda n: price(n[1]).total.macs)):
        yield f"known:{name}", number, architecture


def seconds() -> float:
    """CPU seconds of this process and of those that it started and that have ended."""
    return sum(u.ru_utime + u.ru_stime for u in (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)))


def tried(architecture: Architecture, count: int) -> dict[str, Any]:
    """Of each form: the largest difference on so many images or why it is refused, bytes and CPU seconds."""
    network = build(architecture).eval()
    images = torch.rand(count, *architecture.input, generator=torch.Generator().manual_seed(0))
    wanted = answers(network, images)
    weights = safetensors.torch.save({name: t.contiguous() for name, t in network.state_dict().items()})
    found: dict[str, Any] = {"weights": len(weights)}
    taken = Taken(network, architecture.input, architecture.outputs, architecture=architecture, batch=1)
    expected = ExpectedCosts.of(architecture, network)
    names = [name for name, form in FORMATS.items() if form.usual and not missing(name)]
    started = seconds()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.safetensors").write_bytes(weights)
        for name, proof in proven(names, taken, Path(folder), images, wanted, expected).items():
            if not isinstance(proof, Proof):
                found[name] = {"refused": str(proof)}
                continue
            main = Path(folder) / FORMATS[name].files[0]
            found[name] = {"difference": proof.largest_difference, "counted": proof.costs is not None}
            found[name]["folding"] = proof.folding and asdict(proof.folding)
            found[name] |= {"bytes": main.stat().st_size, "lines": main.read_bytes().count(b"\n")}
    return found | {"seconds": seconds() - started}


def shown(lines: list[dict[str, Any]]) -> str:
    """A row for each space, and one for all known networks."""
    forms = sorted({form for line in lines for form in FORMATS if form in line})
    rows = [
        f"| of | networks | {' | '.join(forms)} | folded, time then | CPU s each |",
        "|---|--:|" + "---|" * (len(forms) + 1) + "--:|",
    ]
    for space in sorted({line["space"].partition(":")[0] for line in lines}):
        own = [line for line in lines if line["space"].partition(":")[0] == space]
        cells = [cell([line[form] | {"weights": line["weights"]} for line in own], form) for form in forms]
        folded = [f["after"] / f["before"] for line in own if (f := line["onnx"].get("folding"))]
        gain = f"{len(folded)}, {median(folded):.2f}" if folded else "none"
        spent = sum(line["seconds"] for line in own) / len(own)
        rows.append(f"| `{space}` | {len(own)} | {' | '.join(cells)} | {gain} | {spent:.0f} |")
    return "\n".join(rows)


def cell(found: list[dict[str, Any]], form: str) -> str:
    """How many are proven, unless all are, the largest difference, and the median size; of source its lines."""
    good = [one for one in found if "difference" in one]
    if not good:
        return "none"
    words = [f"{len(good)} of {len(found)}"] if len(good) < len(found) else []
    words.append(f"{max(one['difference'] for one in good):.0e}")
    if form == "python":
        lines = [one["lines"] for one in good]
        words.append(f"{median(lines):.0f} to {max(lines)} lines")
    else:
        words.append(f"{median(one['bytes'] / one['weights'] for one in good):.2f}")
    return ", ".join(words)


def main() -> None:
    """Tries networks and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--known", action="store_true", help="prove the known networks instead")
    parser.add_argument("--out", type=Path, default=Path("runs/exports.jsonl"))
    parser.add_argument("--show", action="store_true", help="try nothing: show what FILE holds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = kept(options.out)
    done = {(line["space"], line["number"]) for line in lines}
    for space, number, architecture in known() if options.known else drawn():
        if options.show or (not options.known and len(lines) >= options.networks):
            break
        fits = options.known or price(architecture).total.parameters <= LARGEST
        if (space, number) not in done and fits:
            found = tried(architecture, 7 if options.known else 64)
            line = {"space": space, "number": number, "label": architecture.label(), **found}
            lines.append(line)
            keep(options.out, line)
    print(shown(lines))


if __name__ == "__main__":
    main()
