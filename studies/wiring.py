"""Are the mixers wired right? Two blocks of each, trained for 8 epochs on digits; frozen ones and channel mixers too.

    python studies/wiring.py [--seeds N] [--only WORD ...]

8x8 digits, 1,300 to train on and 497 to test; 32 channels embedded by a 1x1 convolution, two blocks, global average
pooling, AdamW with a peak of 3e-3 and one cycle, so that the position of a pixel reaches the network through its mixers
alone. It is no ranking: trainings are short, and mixers differ in cost.
"""

import argparse
from collections.abc import Iterator
from statistics import mean
from typing import NamedTuple

import numpy as np
import torch

from searchspaces import SEARCH_SPACES, Architecture, Value, build
from trainers import DATASETS, Samples, Supervised, TrainingData, training_data

SPACE = SEARCH_SPACES["mixing"]((1, 8, 8), 10, stages=1)
ALL, TESTED = 1_797, 497
"""Images of the data set, and of those that are measured on."""
TRAINER = Supervised(epochs=8, flip=False, shift=0)


class Row(NamedTuple):
    """A network of the table."""

    part: str
    name: str
    picks: dict[str, Value]

    def network(self) -> Architecture:
        """What is trained; a choice that the row does not name stays at its first option."""
        fixed: dict[str, Value] = {"layout": "pyramid", "patch": 1, "dim": 32, "depth": 2, "expansion": 2}
        of = SPACE.narrow({**fixed, **self.picks})
        return of.decode(of.first)


def rows() -> Iterator[Row]:
    """The table, part by part."""

    def token(mixer: str, **picks: Value) -> dict[str, Value]:
        return {"mixer": mixer, **{name.replace("__", "."): value for name, value in picks.items()}}

    def filters(side: int) -> dict[str, Value]:
        return token("conv", kernel=side)

    trained: dict[str, dict[str, Value]] = {
        "identity": token("identity"),
        "avgpool3": token("avgpool3"),
        "maxpool3": token("maxpool"),
        "dw3": filters(3),
        "dw7": filters(7),
        "mixshift": token("mixshift"),
        "spatial_fc": token("spatial_fc"),
        "token_mlp": token("token_mlp"),
        "raft": token("raft"),
        "nin": token("nin"),
        "mab": token("mab"),
        "dsm, 8 bands": token("dsm", dsm__bands=8),
        "gfilter": token("gfilter"),
        "aff": token("aff"),
        **{f"attention {v}": token("attention", attention__variant=v) for v in ("full", "qk", "sym", "chol")},
    }
    yield from (Row("trained token mixer", name, picks) for name, picks in trained.items())
    for name in ("dw3", "dw7", "mixshift", "token_mlp", "nin", "mab", "gfilter", "aff"):
        yield Row("frozen token mixer", name, {**trained[name], "freeze": "chans"})
    starts: dict[str, dict[str, Value]] = {
        "uniform softmax": {"init": "uniform"},
        "softmax of 3 x normal": {"init": "softmax", "tau": 3.0},
        "softmax of 5 x normal": {"init": "softmax", "tau": 5.0},
        "orthogonal": {"init": "orthogonal"},
    }
    for name, start in starts.items():
        for groups in (1, 8):
            fields = {f"random_mix.{field}": value for field, value in start.items()}
            yield Row(
                "random_mix", f"{name}, g{groups}", {**token("random_mix"), **fields, "random_mix.groups": groups}
            )
    channels: dict[str, dict[str, Value]] = {
        "identity": {},
        "channel_mlp": {},
        "hourglass, x1 in 4": {"hourglass.expansion": 1.0, "hourglass.steps": 4},
        "hourglass, x2 in 4": {"hourglass.expansion": 2.0, "hourglass.steps": 4},
        "grn_mlp": {"grn_mlp.expansion": 3.0},
        "cheb_kan": {},
        "rbf_kan": {},
    }
    for name, picks in channels.items():
        yield Row("channel mixer beside dw3", name, {**filters(3), "channel": name.partition(",")[0], **picks})


def halves(seed: int) -> tuple[TrainingData, Samples]:
    """The data of a training, and the images that it is measured on: the test split and what was held out beside it."""
    digits = DATASETS["digits"]()
    test = digits.load("test")
    held_out = (TESTED - len(test)) / (ALL - len(test))
    data = training_data(digits, limit=None, validation=held_out, seed=seed)
    images = np.concatenate([np.asarray(part.images) for part in (test, data.validation)])
    return data, Samples(images, np.concatenate([test.labels, data.validation.labels]), levels=test.levels)


def accuracy(row: Row, seed: int) -> float:
    """Share of the test images that the row's network classifies rightly, in per cent."""
    data, test = halves(seed)
    model = build(row.network(), seed=seed)
    model.normalize.mean.copy_(torch.tensor(data.mean))
    model.normalize.std.copy_(torch.tensor(data.std))
    TRAINER.train(model, data, seed=seed, report=lambda epoch: None)
    images, labels = test.tensors("cpu")
    with torch.inference_mode():
        return 100 * float((model.eval()(images).argmax(1) == labels).float().mean())


def main() -> None:
    """Prints the table: means of the seeds, with the lowest and the highest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="words of which one is in the name of the row or of its part")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| part | mixer | accuracy % (lowest to highest) |\n|---|---|---|")
    for row in rows():
        if any(word in f"{row.part} {row.name}" for word in options.only or [""]):
            found = [accuracy(row, seed) for seed in range(options.seeds)]
            print(f"| {row.part} | {row.name} | {mean(found):.1f} ({min(found):.1f} to {max(found):.1f}) |", flush=True)


if __name__ == "__main__":
    main()
