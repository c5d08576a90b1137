"""Forecasts beside simple ones: mean squared and absolute error on the test windows, on the standardised scale.

    python studies/forecasting.py [--data NAME ...] [--networks NAME ...] [--epochs N] [--seeds N] [--limit N]

``last value`` repeats the newest step, ``last day`` the newest 24; DLinear is a linear map of the trend and one of the
rest. All networks are trained alike (AdamW, one cycle, peak 3e-3, batches of 64), and the weights of the last epoch are
measured. Means over seeds with the standard error of the mean, which overlapping windows do not enter.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import mean, stdev

import torch
from torch import Tensor, nn

from objectives import Candidate
from objectives.regression import Mae, Mse
from searchspaces import SEARCH_SPACES, Architecture, architecture_cost, build
from searchspaces.heads import ForecastHead
from searchspaces.known.series import dlinear, patchtsmixer, timemixer
from trainers import DATASETS, Supervised, TrainingData, training_data
from trainers.windows import SeriesWindows

DAY = 24
"""Steps."""


class Repeated(nn.Module):
    """The newest ``steps`` of the context, again and again."""

    def __init__(self, steps: int, horizon: int) -> None:
        super().__init__()
        self.steps, self.horizon = steps, horizon

    def forward(self, x: Tensor) -> Tensor:
        newest = x[..., -self.steps :]
        return newest.repeat(1, 1, 1, -(-self.horizon // self.steps))[..., : self.horizon]


def networks(data: TrainingData, horizon: int) -> dict[str, Callable[[], Architecture]]:
    """The networks for windows of the data, by name."""
    _, variates, context = data.input
    shape = {"variates": variates, "context": context, "horizon": horizon}
    patch = 8 if context % 8 == 0 else 1

    def of_space(**picks: object) -> Architecture:
        space = SEARCH_SPACES["tsmixer"](data.input, 1, (1, variates, horizon))
        usual = {"dim": 16, "depth": 2, "patch": patch, "overlap": "off", "gate": "scaled", "mode": "common_channel"}
        narrow = space.narrow({**usual, **picks})
        return narrow.decode(narrow.first)

    def plain_dlinear() -> Architecture:
        return dlinear(**shape)

    def reversible_dlinear() -> Architecture:
        return replace(plain_dlinear(), head=ForecastHead(reversible=True))

    return {
        "DLinear": plain_dlinear,
        "DLinear, reversible": reversible_dlinear,
        "PatchTSMixer": lambda: patchtsmixer(16, 2, patch=patch, **shape),
        "TSMixer, scaled gate": lambda: of_space(time="mlp"),
        "TSMixer, no instance norm": lambda: of_space(time="mlp", reversible="off"),
        "TSMixer, mixed variates": lambda: of_space(time="mlp", mode="mix_channel"),
        "TSM2 (s6 along time)": lambda: of_space(time="s6"),
        "TimeMixer": lambda: timemixer(8, 2, scales=2, **shape),
    }


def errors(model: nn.Module, data: TrainingData, dataset: SeriesWindows) -> tuple[float, float]:
    """MSE and MAE on the test windows."""
    images, labels = replace(dataset, **data.decided).load("test").tensors()
    inputs, targets = data.task.measured(images)
    candidate = Candidate(model.eval(), data.input, inputs, labels, targets=targets)
    return float(Mse().measure(candidate)), float(Mae().measure(candidate))


def trained(architecture: Architecture, data: TrainingData, *, seed: int, epochs: int) -> nn.Module:
    """The network after its training."""
    model = build(architecture, seed=seed)
    model.normalize.mean.copy_(torch.tensor(data.mean))
    model.normalize.std.copy_(torch.tensor(data.std))
    Supervised(epochs=epochs).train(model, data, seed=seed, report=lambda _: None)
    return model


def row(name: str, parameters: int, found: list[tuple[float, float]], seconds: float) -> str:
    """A line of the table."""
    cells = []
    for values in zip(*found, strict=True):
        spread = f" ± {stdev(values) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
        cells.append(f"{mean(values):.3f}{spread}")
    return f"| {name} | {parameters:,} | {' | '.join(cells)} | {seconds:.0f} |"


def table(text: str, chosen: Mapping[str, int], only: list[str]) -> None:
    """Prints the table of one data set."""
    name, _, options = text.partition(":")
    dataset = DATASETS[name].of(options)
    assert isinstance(dataset, SeriesWindows)
    limit = chosen["limit"] or None
    data = training_data(dataset, limit=limit, validation=0.2, seed=0)
    print(f"\n{text}: {len(data.train):,} training windows of {data.input[1]} variates, {chosen['epochs']} epochs\n")
    print("| forecast | parameters | MSE | MAE | CPU s a seed |\n|---|--:|--:|--:|--:|")
    for label, steps in (("last value", 1), ("last day", DAY)):
        if steps <= dataset.context:
            print(row(label, 0, [errors(Repeated(steps, dataset.horizon), data, dataset)], 0), flush=True)
    for label, make in networks(data, dataset.horizon).items():
        if only and label not in only:
            continue
        started, found = time.process_time(), []
        for seed in range(chosen["seeds"]):
            model = trained(make(), data, seed=seed, epochs=chosen["epochs"])
            found.append(errors(model, data, dataset))
        seconds = (time.process_time() - started) / chosen["seeds"]
        print(row(label, architecture_cost(make()).parameters, found, seconds), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["seasons:context=48,horizon=24"])
    parser.add_argument("--networks", nargs="+", default=[])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=0, help="windows to train and validate on; 0 for all")
    given = vars(parser.parse_args())
    torch.set_num_threads(1)
    for text in given["data"]:
        table(text, given, given["networks"])


if __name__ == "__main__":
    main()
