"""Windows of a series: which steps they hold, on which scale, and what a network is given of them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, nn
from writers import write_table

import trainers.windows
from trainers import Supervised, training_data
from trainers.datasets.etth1 import Etth1
from trainers.datasets.forecast import Forecast
from trainers.datasets.seasons import Seasons
from trainers.samples import Split, Streamed
from trainers.task import Forecasting
from trainers.windows import SeriesWindows, Windows


@dataclass(frozen=True)
class Counting(SeriesWindows):
    """100 steps of two variates: the step, and ten times it."""

    name = "counting"

    def series(self) -> tuple[tuple[str, ...], np.ndarray]:
        steps = np.arange(100.0)
        return ("one", "ten"), np.stack([steps, 10 * steps], 1)

    def parts(self, length: int) -> tuple[int, int, int]:
        return 60, 80, 100


def steps_of(split: Split) -> np.ndarray:
    """(N, length) the steps that each window holds."""
    data = Counting(context=8, horizon=4)
    images = np.asarray(data.load(split).images[:])
    return np.rint(images[:, 0, 0] * np.arange(60).std() + np.arange(60).mean()).astype(int)


def test_what_is_forecast_lies_in_its_part_and_contexts_may_reach_back() -> None:
    for split, (first, last) in {"train": (8, 59), "validation": (60, 79), "test": (80, 99)}.items():
        steps = steps_of(split)  # type: ignore[arg-type]
        assert steps.shape[1] == 12
        assert (np.diff(steps, axis=1) == 1).all()
        assert (steps[:, 8:].min(), steps[:, 8:].max()) == (first, last)
        assert len(steps) == last - first - 4 + 2  # one at every step


def test_values_are_standardised_by_the_training_part_alone() -> None:
    data = Counting(context=8, horizon=4)
    train = data.load("train")
    assert train.decided == {
        "context": 8,
        "horizon": 4,
        "variates": ["one", "ten"],
        "mean": [29.5, 295.0],
        "std": pytest.approx([np.arange(60).std(), 10 * np.arange(60).std()]),
    }
    images = np.asarray(data.load("test").images[:])
    np.testing.assert_allclose(images[:, :, 0], images[:, :, 1], rtol=1e-6)
    assert images.max() == pytest.approx((99 - 29.5) / np.arange(60).std())


def test_the_scale_of_a_study_holds_for_other_series(tmp_path: Path) -> None:
    data = Forecast(str(write_table(tmp_path / "a.csv")), context=8, horizon=4)
    fixed = replace(data, variates=("load", "oil"), mean=(0.0, 0.0), std=(2.0, 1.0))
    raw = np.asarray(fixed.load("test").images[:]) * np.array([2.0, 1.0])[:, None]
    assert 85 < raw.min() < raw.max() < 115
    assert fixed.load("test").decided == {}


def test_windows_cut_on_demand_are_those_in_memory() -> None:
    data = Counting(context=8, horizon=4).load("train").images
    cut = Windows(np.arange(40, dtype=np.float32).reshape(2, 20), np.arange(9), 12)
    held = cut.held()
    assert isinstance(data, np.ndarray)
    assert isinstance(held, np.ndarray)
    assert cut.shape == held.shape == (9, 1, 2, 12)
    assert np.array_equal(cut[2:5], held[2:5])
    assert np.array_equal(cut.subset(np.array([7, 1]))[:], held[[7, 1]])
    assert cut.fingerprint() != replace(cut, starts=cut.starts[1:]).fingerprint()
    inputs, targets = Forecasting(8, 4).measured(Streamed(cut, 1, "cpu"))
    assert torch.equal(inputs[1:3], torch.from_numpy(held[1:3, ..., :8]))
    assert torch.equal(targets[torch.tensor([4])], torch.from_numpy(held[[4], ..., 8:]))


def test_a_training_reads_windows_on_demand_as_it_does_those_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = []
    for room in (trainers.windows.HELD_BYTES, 0):
        monkeypatch.setattr("trainers.windows.HELD_BYTES", room)
        data = training_data(Seasons(context=8, horizon=8, steps=200), limit=50, validation=0.2, seed=0)
        assert isinstance(data.train.images, np.ndarray) == bool(room)
        torch.manual_seed(0)
        Supervised(epochs=1).train(nn.Conv2d(1, 1, 1), data, seed=0, report=lambda e: losses.append(e.loss))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_network_is_given_the_context_and_returns_the_horizon() -> None:
    task, windows = Forecasting(8, 4), torch.randn(5, 1, 3, 12)
    inputs, targets = task.examples(windows, torch.zeros(5), Generator())
    assert torch.equal(torch.cat([inputs, targets], 3), windows)
    assert (task.takes((1, 3, 12)), task.outputs((1, 3, 12), 1)) == ((1, 3, 8), (1, 3, 4))
    data = training_data(Seasons(context=8, horizon=4, steps=200), limit=50, validation=0.2, seed=0)
    assert (data.input, data.outputs, len(data.train), len(data.validation)) == ((1, 4, 8), (1, 4, 4), 40, 10)


def test_a_season_is_the_same_every_time_and_has_another_seed() -> None:
    assert np.array_equal(Seasons().series()[1], Seasons().series()[1])
    assert not np.array_equal(Seasons().series()[1], Seasons(seed=1).series()[1])
    names, values = Seasons(series_count=1, noise=0).series()
    assert names == ("v1",)
    assert values[DAYS :: 7 * DAYS][1] - values[DAYS :: 7 * DAYS][0] > 0  # the trend, a week apart


DAYS = 24


def test_etth1_is_divided_as_published(nas_data: Path) -> None:
    data = Etth1(str(nas_data), context=96, horizon=96)
    sizes = [len(data.load(split)) for split in ("train", "validation", "test")]  # type: ignore[arg-type]
    assert sizes == [8640 - 192 + 1, 2880 - 96 + 1, 2880 - 96 + 1]
    assert data.load("train").decided["variates"] == ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Counting(context=55, horizon=6), r"a window has 55 \+ 6 steps .* the train part has 60 of the 100"),
        (lambda: Counting(context=8, horizon=70), r"a window has 8 \+ 70 steps .* Take a smaller context or horizon"),
        (lambda: Counting(context=0), "context must be from 1 to 100000, got 0"),
        (lambda: Counting(horizon=-1), "horizon must be from 1 to 100000, got -1"),
        (lambda: Counting(context=8, horizon=4, variates=("a",)), r"its columns are \['one', 'ten'\], those of the st"),
        (lambda: Counting(std=(0.0, 1.0)), r"std must hold numbers above 0, got 0\.0"),
        (lambda: Counting(mean=(float("nan"),)), "mean must hold finite numbers"),
        (lambda: Counting(variates=("one", "ten"), mean=(0.0,)), "mean must hold a number for each of the 2 variates"),
        (lambda: Forecast("x", train=0.9, held=0.2), "train and held must leave something for the test part"),
    ],
)
def test_windows_that_cannot_be_are_one_message(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().load("train")  # type: ignore[operator]


def test_a_variate_that_does_not_move_is_named(tmp_path: Path) -> None:
    lines = write_table(tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join([lines[0] + ",flag", *(line + ",7" for line in lines[1:])]) + "\n")
    with pytest.raises(ValueError, match="'flag' is 7 in the whole training part, so that there is nothing to learn"):
        Forecast(str(tmp_path / "a.csv"), context=8, horizon=4).load("train")


def test_what_changes_pictures_is_refused_for_series() -> None:
    with pytest.raises(ValueError, match=r"crop = 0\.5 does nothing without pictures to train on"):
        Supervised(crop=0.5).suited(Seasons())
    with pytest.raises(ValueError, match="resolution is for images; seasons has windows"):
        training_data(Seasons(), limit=None, validation=0.2, seed=0, resolution=8)
