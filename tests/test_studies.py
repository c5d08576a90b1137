"""Every study that ships can be started, and every search space can be searched."""

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import nas
from nas.presets import CLAIMS
from nas.pricing import price
from nas.problem import Problem, find_dataset, find_trainer
from nas.results.design import read_claim, read_design
from nas.search.reproduce import chosen, kept, lacking
from nas.search.samplers.random import RandomSampler
from nas.settings import read_settings, settings_of
from nas.show.claims import markdown
from searchspaces import SEARCH_SPACES
from searchspaces.architecture import CHANNEL_MIXERS, TOKEN_MIXERS
from searchspaces.spaces.mixing import CONTROLS
from trainers import training_data
from trainers.datasets.seasons import Seasons

ROOT = Path(__file__).parent.parent / "studies"
DATA = {"asm_rh": "spectrograms"}
"""Data sets of the spaces that are not for images."""
PAPERS = {
    "spatial-mixing": "2503.16760",
    "spartan": "2507.10999",
    "asm-rh": "2402.18007",
    "wide-sparse": "2306.01470",
}


@cache
def problem(path: Path) -> Problem:
    """The problem that a study file states."""
    return Problem.of(read_settings(path))


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.toml")), ids=lambda path: path.name)
def test_a_shipped_study_resolves_and_is_described(path: Path) -> None:
    settings = read_settings(path)
    assert settings.name == path.stem
    assert f"`{path.name}`" in (ROOT / "README.md").read_text()
    if not find_dataset(settings.data).found():
        pytest.skip(f"the data of {path.name} are not on this machine")
    assert problem(path).settings.name == path.stem


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_a_design_that_can_be_run(name: str) -> None:
    path = CLAIMS[name]
    claim = read_claim(path)
    assert claim.arxiv == PAPERS[claim.paper]
    if lacking(path):
        pytest.skip(f"the data of {name} are not on this machine")
    design = read_design(path, ["data.limit=120"])
    assert design.settings.name == name
    assert design.expectations
    assert design.plan.seeds >= 3


def test_there_is_a_quick_claim_of_each_paper() -> None:
    quick = chosen(None, quick=True)
    assert {claim.paper for claim in quick.values()} == set(PAPERS)
    assert len(quick) == len(PAPERS)


def test_the_table_of_verdicts_is_made_of_what_came_out() -> None:
    claims = chosen(None, quick=False)
    found = kept(ROOT / "claims" / "results")
    assert markdown(claims, found) in (ROOT / "claims" / "README.md").read_text()


@pytest.mark.parametrize(("role", "table"), [("mixer", TOKEN_MIXERS), ("channel", CHANNEL_MIXERS)])
def test_the_study_of_all_operators_tries_each_of_them(role: str, table: dict[str, Any]) -> None:
    of = problem(ROOT / "operators.toml")
    drawn = [RandomSampler(of).ask(number, 0).picks for number in range(of.settings.trials)]
    tried = {picks[f"s{stage}.{role}"] for picks in drawn for stage in (1, 2)}
    ours = {kind for kind, cls in table.items() if cls.__module__.startswith("searchspaces.")}
    named = {"pooling": "avgpool3", "roll_mix": "roll"}
    assert {named.get(kind, kind) for kind in ours} <= tried
    assert tried == set(next(choice for choice in of.space.choices if choice.name == f"s1.{role}").options)
    assert role != "mixer" or tried.issuperset(CONTROLS)
    assert [of.probe.refusal(picks) for picks in drawn] == [None] * len(drawn)


@pytest.mark.parametrize("kind", sorted(SEARCH_SPACES))
def test_a_study_over_every_space_runs(study_file: Callable[..., Path], tmp_path: Path, kind: str) -> None:
    data: dict[str, Any] = {"name": DATA.get(kind, "digits"), "limit": 120}
    path = study_file(
        trials=3, space={"kind": kind}, data=data, bounds={"macs": 3e6}, search={"sampler": "random"}, reference=None
    )
    study = nas.search(path, out=tmp_path / "run")
    errors = [record.error for record in study.records if record.error]
    assert not errors, errors
    assert len(study.complete) == 3
    assert study.export("knee", tmp_path / "out").is_dir()


def script(path: str) -> ModuleType:
    """A script of the studies, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_every_row_of_the_table_of_forecasts_is_a_network_for_its_series() -> None:
    found = script("forecasting.py")
    data = training_data(Seasons(context=48, horizon=30, steps=400), limit=None, validation=0.2, seed=0)
    networks = found.networks(data, 30)
    assert {"DLinear", "PatchTSMixer", "TSM2 (s6 along time)", "TimeMixer"} <= networks.keys()
    for make in networks.values():
        assert (make().input, make().outputs) == ((1, 4, 48), (1, 4, 30))
        assert price(make()).total.parameters > 0
    x = torch.arange(48.0).view(1, 1, 1, 48)
    assert found.Repeated(24, 30)(x).flatten().tolist() == [*range(24, 48), *range(24, 30)]
    assert found.Repeated(1, 3)(x).flatten().tolist() == [47, 47, 47]


def test_every_row_of_the_accuracy_table_can_be_trained() -> None:
    rows = script("accuracy.py").rows()
    assert {row.name for row in rows} == {"ConvMixer", "SpaRTAN", "Mixer", "RP-Mixer", "ASM-RH"}
    for row in rows:
        table = {"name": "row", "objectives": ["accuracy"], "data": {"name": row.data}}
        settings = settings_of({**table, "training": {"preset": row.preset}}, row.settings)
        assert find_trainer(settings).epochs >= 10
        assert price(row.network()).total.macs > 1e6


def test_every_row_of_the_wiring_table_is_a_network_of_its_own_and_in_the_manual() -> None:
    wiring = script("wiring.py")
    rows, manual = list(wiring.rows()), (ROOT / "README.md").read_text()
    assert len({row.network().key for row in rows}) == len(rows) - 1  # dw3 with its MLP is a row of two parts
    for row in rows:
        assert row.network().stem.output((1, 8, 8)) == (32, 8, 8)
        assert f"| {row.name} |" in manual or f"| random_mix, {row.name} |" in manual


def test_the_networks_of_the_training_benchmark_can_be_built() -> None:
    networks = dict(script("benchmarks/training.py").networks())
    assert networks.keys() == {"ConvMixer", "SpaRTAN", "Mixer", "RP-Mixer", "ASM-RH"}
    assert price(networks["Mixer"]).total.macs == price(networks["RP-Mixer"]).total.macs


AXES = ("freeze", "permutation", "kernel", "dilation", "conv", "split")
"""Choices of the five axes: freeze pattern, permutation, kernel and dilation, placement, split."""


def test_a_study_over_mixing_tries_every_option_of_all_five_axes_and_shows_them(
    study_file: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = study_file(
        trials=80,
        space={"kind": "mixing", "choices": {"depth": [2]}},
        data={"name": "digits", "limit": 60},
        training={"epochs": 1, "batch_size": 48},
        objectives=["accuracy", "macs"],
        bounds={"macs": 2e6},
        search={"sampler": "random"},
    )
    study = nas.search(path, out=tmp_path / "run")
    tried: dict[str, set[Any]] = {axis: set() for axis in AXES}
    for record in study.complete:
        for name in study.space.effective(record.picks):
            axis = name.split(".")[-1]
            if axis in tried:
                tried[axis].add(record.picks[name])
    options = study.settings.space["choices"]
    for axis in AXES:
        expected = options.get(axis) or options[f"s1.{axis}"]
        assert tried[axis] == set(expected), axis

    from nas.cli import main

    monkeypatch.setattr("sys.argv", ["nas", "pareto", str(study.directory), "--wide"])
    monkeypatch.setenv("COLUMNS", "400")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main()
    header = capsys.readouterr().out
    assert all(f" {axis} " in header for axis in AXES)
