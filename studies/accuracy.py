"""What small networks of the four papers reach on 10,000 images, or on spoken digits, within minutes of one core.

    python studies/accuracy.py [--only NAME ...] [--data DATA ...] [--seeds N] [--out DIR]

Every row is one run of ``nas train`` with ``--test``: a network, a data set and a recipe. The images are 12,500 of the
training split, a fifth of them for validation. Minutes are CPU time of the whole command, on one thread. What is in DIR
already is not trained again. Needs the data in NAS_DATA.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from types import MappingProxyType
from typing import Any

from searchspaces import SEARCH_SPACES, Architecture, Shape, Value, architecture_cost
from searchspaces.known.asm_rh import asm_rh

GREY, COLOUR = (1, 28, 28), (3, 32, 32)
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
SPEAKER = "fsdd:speaker"
GOALS = {"fashion_mnist": 85, "cifar10": 55, "fsdd": 95, SPEAKER: 80}
"""Per cent of the test images to be classified rightly; of the speakers in the mean."""
SMALL: dict[str, Value] = {
    **{"s1.width": 16, "s2.width": 32, "s3.width": 64, "s1.depth": 1, "s2.depth": 1, "s3.depth": 2},
    **{"branches": "hl", "dilation": 2, "l_stack": 2},
}
"""SpaRTAN in three stages."""
BRIEF = ("objective.robust_accuracy.samples=50",)
"""`nas train` measures robust accuracy too, which is not asked for here."""
VARIED = ("training.operations=1", "training.mixup=0.2")
MIXED = ("training.shift=2", "training.mixup=0.3", "training.cutmix=0.5", "training.mix_until=0.8")
"""For a network that does not know where a pixel is: images that are moved far are harder to learn than they help."""
VOICES = ("training.level=0.25", "training.shift=4", "training.mask_mel=8", "training.mask_frames=8")
STRANGERS = ("data.validation=0", *VOICES, *BRIEF)
"""Trained on all five other speakers, varied, and tested on the sixth."""


@dataclass(frozen=True)
class Row:
    """A network, the data it is trained on, and how: a preset and what is set beside it."""

    name: str
    data: str
    network: Callable[[], Architecture]
    preset: str
    settings: tuple[str, ...] = ()


def member(
    space: str, shape: Shape, settings: Mapping[str, Any] = MappingProxyType({}), **picks: Value
) -> Architecture:
    """A network of a search space: a bare name speaks for all stages, what is not named stays at its first option."""
    narrowed = SEARCH_SPACES[space](shape, 10, **settings).narrow(picks)
    return narrowed.decode(narrowed.first)


def trained(epochs: int) -> tuple[str, ...]:
    """Settings of a training on 10,000 images."""
    return ("data.limit=12500", "data.validation=0.2", f"training.epochs={epochs}", *BRIEF)


def rows() -> list[Row]:
    """The table."""
    found = []
    wide: dict[str, Value] = {"split": "64x64", "gamma": 2.0, "depth": 4}
    for data, shape in (("fashion_mnist", GREY), ("cifar10", COLOUR)):
        convmixer = partial(member, "convmixer", shape, dim=64, depth=4, patch=2, kernel=5)
        spartan = partial(member, "spartan", shape, stem_stride=2, stages=3, hybrid=1, layer_scale=1.0, **SMALL)
        mixer = partial(member, "wide_sparse", shape, {"omega": 2**18}, kind="mixer", **wide)
        rp_mixer = partial(member, "wide_sparse", shape, {"omega": 2**18}, kind="rp_mixer", **wide)
        grey = data == "fashion_mnist"
        found += [
            Row("ConvMixer", data, convmixer, "spatial_mixing", trained(10 if grey else 20)),
            Row("SpaRTAN", data, spartan, "spartan_small", trained(20 if grey else 30)),
            Row("Mixer", data, mixer, "wide_sparse", trained(20) if grey else (*trained(50), *VARIED)),
            Row("RP-Mixer", data, rp_mixer, "wide_sparse", trained(20) if grey else (*trained(60), *MIXED)),
        ]
    micro = partial(asm_rh, classes=10, input=(1, 64, 64), patch=8, stride=8, dim=96, depth=4, token_hidden=32)
    found.append(Row("ASM-RH", "fsdd", micro, "asm_rh_small", BRIEF))
    found += [Row("ASM-RH", f"{SPEAKER}={who}", micro, "asm_rh_small", STRANGERS) for who in SPEAKERS]
    return found


def train(row: Row, seeds: int, folder: Path) -> dict[str, float]:
    """Accuracies in per cent, means over the seeds, and CPU minutes of a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.json").write_text(json.dumps(row.network().to_json()))
    command = ["train", str(folder / "network.json"), "--data", row.data, "--preset", row.preset, "--test", "--json"]
    command += [part for setting in row.settings for part in ("--set", setting)]
    command += ["--seeds", str(seeds), "-o", str(folder / "trained")]
    print(f"nas {' '.join(command)}", file=sys.stderr)
    kept = folder / "result.json"
    if not kept.exists():
        before = os.times()
        output = subprocess.run([sys.executable, "-m", "nas", *command], stdout=subprocess.PIPE, check=True).stdout
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        runs = json.loads(output)
        splits = [split for split in ("validation", "test") if split in runs[0]]
        accuracy = {split: 100 * mean(run[split]["accuracy"] for run in runs) for split in splits}
        kept.write_text(json.dumps({**accuracy, "minutes": spent / 60 / seeds}))
    found: dict[str, float] = json.loads(kept.read_text())
    return found


def main() -> None:
    """Trains what is not there, and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", help="networks")
    parser.add_argument("--data", nargs="+", help="data sets")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    options = parser.parse_args()
    print("| network | data | MACs | parameters | validation % | test % | goal % | CPU minutes |")
    print("|---|---|---|---|---|---|---|---|")
    speakers = []
    for row in rows():
        if row.name not in (options.only or [row.name]) or row.data not in (options.data or [row.data]):
            continue
        result = train(row, options.seeds, options.out / f"{row.name}-{row.data}")
        cost = architecture_cost(row.network())
        counts = f"{cost.macs:,} | {cost.parameters:,}"
        data, _, speaker = row.data.partition("=")
        goal = "" if speaker else GOALS[data]
        validation = f"{result['validation']:.1f}" if "validation" in result else ""
        values = f"{validation} | {result['test']:.1f} | {goal} | {result['minutes']:.1f}"
        print(f"| {row.name} | {row.data} | {counts} | {values} |", flush=True)
        speakers += [result["test"]] if speaker else []
    if len(speakers) == len(SPEAKERS):
        print(f"| ASM-RH | mean of the speakers | | | | {mean(speakers):.1f} | {GOALS[SPEAKER]} | |")


if __name__ == "__main__":
    main()
