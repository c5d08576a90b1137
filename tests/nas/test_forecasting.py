"""A study that forecasts a series in a file, from the search to forecasts in the units of the file."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from terminal import run
from writers import write_table

import nas
from nas.errors import WrongInputError
from nas.export.evaluate import evaluate
from nas.export.predict import Continued, predict
from nas.problem import network_of
from searchspaces.heads import ForecastHead
from trainers.formats.table import read_table

STUDY: dict[str, Any] = {
    "name": "power",
    "trials": 2,
    "objectives": ["mse", "mae", "macs"],
    "space": {"kind": "tsmixer", "choices": {"dim": [8], "depth": [1], "time": ["mlp"], "reversible": ["on", "off"]}},
    "training": {"epochs": 2, "learning_rate": 0.01, "track": True},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, a study of it that was searched, and an export."""
    folder = tmp_path_factory.mktemp("forecast")
    table = write_table(folder / "power.csv", steps=400)
    data = {"name": f"forecast:{table}", "context": 24, "horizon": 6}
    (folder / "study.toml").write_text(tomli_w.dumps({**STUDY, "data": data}))
    study = nas.search(folder / "study.toml", out=folder / "run")
    study.export("best:mse", folder / "out", formats=("python",), batch=None)
    return folder


def test_a_forecast_is_searched_with_its_units(place: Path) -> None:
    study = nas.open(place / "run")
    assert len(study.complete) == 2
    assert {name: goal.unit for name, goal in study.objectives.items()} == {"mse": "sd²", "mae": "sd", "macs": "MACs"}
    for record in study.complete:
        network = network_of(record)
        assert (network.input, network.outputs) == ((1, 2, 24), (1, 2, 6))
        assert isinstance(network.head, ForecastHead)
        assert network.head.reversible == (record.picks["reversible"] == "on")
        assert study.space.decode(record.picks).key == record.key
        assert record.measured["mae"] ** 2 <= record.measured["mse"] < 1
    data = study.settings.data
    assert data.options["variates"] == ["load", "oil"]
    assert data.options["mean"] == pytest.approx(read_table(place / "power.csv").values[:280].mean(0))
    assert data.label == f"forecast:{place / 'power.csv'},context=24,horizon=6"
    done = run("pareto", str(place / "run"))
    assert done.stdout.splitlines()[0].endswith("* is the knee; mse in sd²; mae in sd")
    assert done.returncode == 0


def test_forecasts_are_in_the_units_of_the_file(place: Path, tmp_path: Path) -> None:
    (one,) = predict(place / "out", [place / "power.csv"])
    assert isinstance(one, Continued)
    table = read_table(place / "power.csv")
    mean, std = table.values[:280].mean(0), table.values[:280].std(0)
    window = torch.from_numpy(((table.values[-24:] - mean) / std).T.astype(np.float32))[None, None]
    with torch.no_grad():
        wanted = nas.load(place / "out")(window)[0, 0].numpy().T * std + mean
    np.testing.assert_allclose(one.values, wanted, rtol=1e-5)
    assert 85 < np.min(one.values) < np.max(one.values) < 115
    assert one.times == ["2016-07-17 16:00:00", *(f"2016-07-17 {hour}:00:00" for hour in range(17, 22))]
    shown = run("predict", str(place / "out"), str(place / "power.csv"))
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert [row["date"] for row in rows] == one.times
    assert float(rows[0]["oil"]) == pytest.approx(one.values[0][1], rel=1e-6)
    (told,) = json.loads(run("predict", str(place / "out"), str(place / "power.csv"), "--json").stdout)
    assert told["values"] == one.values


def test_an_export_forecasts_without_this_framework(place: Path) -> None:
    (one,) = predict(place / "out", [place / "power.csv"])
    assert isinstance(one, Continued)
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in ("nas", "searchspaces", "objectives", "trainers"))
    start = f"import runpy, sys; sys.path.insert(0, '.'); {blocked}; runpy.run_path('predict.py', run_name='__main__')"
    command = [sys.executable, "-I", "-c", start]
    given = [*command, str(place / "power.csv")]
    done = subprocess.run(given, cwd=place / "out", capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[0] == "date,load,oil"
    for line, time, values in zip(done.stdout.splitlines()[1:], one.times, one.values, strict=True):
        assert line.split(",")[0] == time
        assert [float(value) for value in line.split(",")[1:]] == pytest.approx(values, rel=1e-5)
    card = (place / "out" / "README.md").read_text()
    assert "python predict.py FILE.csv" in card
    assert "time-series-forecasting" in card
    assert "class" not in card.partition("## Use")[2]
    assert json.loads((place / "out" / "config.json").read_text())["input"]["range"] is None


def test_another_series_is_measured_on_the_scale_of_the_study(place: Path, tmp_path: Path) -> None:
    table = read_table(place / "power.csv")
    lines = [",".join(["date", *table.names])]
    lines += [",".join([time, *map(str, 1000 + row)]) for time, row in zip(table.times, table.values, strict=True)]
    (tmp_path / "moved.csv").write_text("\n".join(lines) + "\n")
    same = evaluate(place / "out", f"forecast:{place / 'power.csv'}", "test")["measured"]
    moved = evaluate(place / "out", f"forecast:{tmp_path / 'moved.csv'}", "test")["measured"]
    if nas.open(place / "run").pick("best:mse").picks["reversible"] == "on":
        assert moved["mse"] == pytest.approx(same["mse"], rel=1e-2)  # the level of a window makes no difference
    else:
        assert moved["mse"] > 100 * same["mse"]


@pytest.mark.parametrize(
    ("head", "steps", "message"),
    [
        (
            "date,load,coal",
            40,
            "it lacks the column 'oil'. Columns of the forecast: load, oil; of the file",
        ),
        ("date,load,oil", 20, "it has 20 steps, but the network takes 24. Give a longer series."),
    ],
)
def test_a_file_that_does_not_fit_is_refused(place: Path, tmp_path: Path, head: str, steps: int, message: str) -> None:
    lines = write_table(tmp_path / "a.csv", steps=steps).read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join([head, *lines[1:]]) + "\n")
    with pytest.raises(WrongInputError, match=message):
        predict(place / "out", [tmp_path / "a.csv"])


def test_one_network_is_trained_on_a_series(place: Path, tmp_path: Path) -> None:
    data = f"forecast:{place / 'power.csv'},context=48,horizon=12"
    words = ["train", "known:dlinear", "--data", data, "--epochs", "2", "--test", "-o", str(tmp_path / "out"), "--json"]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["test"].keys() == {"mse", "mae"}
    assert "it is built for (1, 2, 48) and 1x2x12 values of forecast" in " ".join(done.stderr.split())
    assert (tmp_path / "out" / "log.csv").read_text().startswith("epoch,loss,mse,seconds\n")
