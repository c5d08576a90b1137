"""A study of another task than classification, from search to export; and what does not suit the task."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nas
from nas.errors import WrongInputError
from nas.export.evaluate import evaluate
from nas.export.train import train
from nas.problem import Problem, network_of
from nas.settings import read_settings
from searchspaces.known.convmixer import convmixer

StudyFile = Callable[..., Path]

REGRESSION: dict[str, Any] = {
    "objectives": ["r2", "macs"],
    "objective": None,
    "space": {
        "kind": "convmixer",
        "choices": {"dim": [16], "depth": [1], "patch": [1, 2], "kernel": [3], "freeze": ["full", "chans"]},
    },
    "data": {"name": "denoise:digits,sigma=0.4", "limit": 125},
    "training": {"epochs": 6, "batch_size": 8, "learning_rate": 0.02, "track": True},
    "trials": 2,
}


def test_a_study_of_images_is_searched_exported_loaded_and_measured(study_file: StudyFile, tmp_path: Path) -> None:
    nas.search(study_file(**REGRESSION), out=tmp_path / "run")
    study = nas.search(study_file(**REGRESSION), out=tmp_path / "run", trials=3)  # continues
    assert len(study.complete) == 3
    assert not [record.error for record in study.records if record.error]
    best = study.pick("best:r2")
    assert best.measured["r2"] > 0.2
    assert best.spread["r2"]["n"] == 25
    assert network_of(best).outputs == (1, 8, 8)
    assert nas.open(tmp_path / "run").space.decode(best.picks).key == best.key
    exported = study.export("best:r2", tmp_path / "out")
    assert nas.load(exported)(torch.rand(2, 1, 8, 8)).shape == (2, 1, 8, 8)
    assert "1x8x8 values" in (exported / "README.md").read_text()
    on_test = evaluate(exported, None, "test")
    assert on_test["measured"]["r2"] == pytest.approx(best.measured["r2"], abs=0.15)
    with pytest.raises(WrongInputError, match=r"digits has images .* and 10 classes, but the network .* 1x8x8 values"):
        evaluate(exported, "digits", "test")


def test_one_network_is_trained_for_values_instead_of_classes(study_file: StudyFile, tmp_path: Path) -> None:
    said, shown = list[str](), list[dict[str, float]]()
    settings = read_settings(study_file(**{**REGRESSION, "objectives": ["r2", "psnr", "mse"]}))
    (done,) = train(
        convmixer(8, 1, kernel=3, patch=2, side=32, classes=10),
        settings,
        tmp_path / "out",
        seeds=[0],
        test=True,
        say=said.append,
        watch=lambda seed: lambda epoch, measured: shown.append(dict(measured)),
    )
    assert "has 10 classes; it is built for (1, 8, 8) and 1x8x8 values of denoise:digits,sigma=0.4." in said[0]
    assert done.measured["test"].keys() == {"r2", "psnr", "mse"}
    rows = list(csv.DictReader((tmp_path / "out" / "log.csv").open()))
    assert [float(row["r2"]) for row in rows] == pytest.approx([one["r2"] for one in shown], abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"objectives": ["accuracy", "macs"]},
            r"objective 'accuracy' is for classification, but what is learnt from denoise is image regression\. "
            r"Objectives for that: mae, mse, psnr, r2; and all costs\.",
        ),
        ({"objectives": ["robust_accuracy"]}, "objective 'robust_accuracy' is for classification"),
        (
            {"data": {"name": "digits"}},
            "objective 'r2' is for image regression and forecasting, but what is learnt from digits is class",
        ),
        (
            {"data": {"name": "seasons"}, "objectives": ["psnr"]},
            "objective 'psnr' is for image regression, but what is learnt from seasons is forecasting. Objectives for "
            "that: mae, mse, r2; and all costs",
        ),
        (
            {"data": {"name": "seasons"}, "objectives": ["accuracy"]},
            "objective 'accuracy' is for classification, but what is learnt from seasons is forecasting",
        ),
        (
            {"data": {"name": "seasons:steps=200,context=96,horizon=96"}},
            r"data: seasons: a window has 96 \+ 96 steps .* the train part has 140 of the 200 steps",
        ),
        (
            {"data": {"name": "denoise:seasons"}},
            "denoise takes a data set for classification, got seasons",
        ),
        ({"training": {"label_smoothing": 0.1}}, r"label_smoothing = 0\.1 does nothing without classes to learn"),
        ({"training": {"kind": "adversarial"}}, "training: kind = 'adversarial' is for classification, got denoise"),
        ({"data": {"name": "denoise:digts"}}, "data: unknown data set 'digts'. Did you mean 'digits'"),
        ({"data": {"name": "denoise:digits,sgma=1"}}, "data.name: option 'sgma' of 'digits,sgma=1' is unknown"),
    ],
)
def test_what_does_not_suit_the_task_is_one_message(
    study_file: StudyFile, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(WrongInputError, match=message):
        Problem.of(read_settings(study_file(**{**REGRESSION, **changes})))
