"""How the error depends on S at a fixed number of connections Omega (2306.01470, figure of width and density).

    python studies/width.py [--data NAME ...] [--kinds KIND ...] [--omega N] [--tokens S ...]
                              [--images N] [--epochs N] [--seeds N]

Networks of `wide_sparse` with gamma 2 and two blocks, one for each pair S x C that keeps Omega / gamma, on images that
are resized, so that the embedding does not change with S. Means over seeds on the test images, with the standard error
of the mean.
"""

import argparse
import itertools
from collections.abc import Sequence
from statistics import mean, stdev

import torch
from torch import nn
from torch.nn import functional as F

from searchspaces import SEARCH_SPACES, Architecture, build
from searchspaces.spaces.wide_sparse import KINDS
from trainers import DATASETS, PRESETS, Samples, Supervised, TrainingData, training_data

TOKENS = (4, 9, 16, 25, 36, 64)


def networks(
    data: TrainingData, kind: str, omega: int, tokens: Sequence[int]
) -> dict[tuple[int, int, float], Architecture]:
    """(S, C, realised Omega / gamma) -> network, for every S of ``tokens`` that keeps the budget."""
    space = SEARCH_SPACES["wide_sparse"](data.input, len(data.classes), omega=omega)
    pairs = next(choice for choice in space.choices if choice.name == "split").options
    fixed = space.narrow({"kind": kind, "gamma": 2.0, "depth": 2, "source": "resize", "patch": 2})
    found = {}
    for pair in pairs:
        one = fixed.narrow({"split": pair})
        facts = one.facts(one.first)
        if facts["tokens"] in tokens:
            found[int(facts["tokens"]), int(facts["channels"]), float(facts["omega"])] = one.decode(one.first)
    return found


def trained(architecture: Architecture, data: TrainingData, *, seed: int, epochs: int) -> nn.Module:
    """The network after a training by the preset of this space."""
    model = build(architecture, seed=seed)
    model.normalize.mean.copy_(torch.tensor(data.mean))
    model.normalize.std.copy_(torch.tensor(data.std))
    trainer = Supervised(**{**PRESETS["wide_sparse"], "epochs": epochs})
    trainer.train(model, data, seed=seed, report=lambda _: None)
    return model.eval()


@torch.no_grad()
def measured(model: nn.Module, test: Samples) -> tuple[float, float]:
    """Error in per cent, and cross-entropy."""
    images, labels = test.tensors()
    logits = torch.cat([model(images[start : start + 500]) for start in range(0, len(labels), 500)])
    wrong = (logits.argmax(1) != labels).double().mean()
    return 100 * float(wrong), float(F.cross_entropy(logits, labels))


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and the standard error of it."""
    return f"{mean(values):.{digits}f} ± {stdev(values) / len(values) ** 0.5:.{digits}f}"


def main() -> None:
    """Trains all, and prints a table for each data set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", nargs="+", default=["digits", "fashion_mnist"])
    parser.add_argument("--kinds", nargs="+", default=["mixer", "rp_mixer"], choices=KINDS)
    parser.add_argument("--omega", type=int, default=2**15, help="Omega / gamma")
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS, help="S")
    parser.add_argument("--images", type=int, default=2000, help="of the training split")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| data | kind | S x C | Omega / gamma | deviation, % | width m | test error, % | test loss |")
    print("|---|---|---|--:|--:|--:|--:|--:|")
    for name, kind in itertools.product(options.data, options.kinds):
        dataset = DATASETS[name]()
        data = training_data(dataset, limit=options.images, validation=0.1, seed=0)
        test = dataset.load("test")
        for (s, c, omega), architecture in networks(data, kind, options.omega, options.tokens).items():
            seeds = range(options.seeds)
            models = (trained(architecture, data, seed=seed, epochs=options.epochs) for seed in seeds)
            errors, losses = zip(*(measured(model, test) for model in models), strict=True)
            off = 100 * (omega / options.omega - 1)
            found = f"{s}x{c} | {omega:,.0f} | {off:+.1f} | {s * c:,} | {spread(errors, 1)} | {spread(losses, 3)}"
            print(f"| {name} | {kind} | {found} |", flush=True)


if __name__ == "__main__":
    main()
