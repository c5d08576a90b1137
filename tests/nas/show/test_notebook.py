"""A study that shows itself: the report in a frame, its charts as figures."""

import random
import re
from html import unescape
from pathlib import Path

import pytest
from made_up import Trial, made_up

import nas
from nas.errors import WrongInputError
from nas.results.explain import explain
from nas.results.study import Study
from nas.show.charts import CHARTS
from nas.show.report.data import report_data
from nas.show.report.page import page

BAD = "<img src=x onerror=alert(1)>"


def test_the_report_is_the_page_of_the_command_in_a_frame_that_reaches_nothing(searched: Path, tmp_path: Path) -> None:
    study = nas.open(searched)
    report = study.report()
    (attributes, inner) = re.findall(r'^<iframe (.*?)srcdoc="([^"]*)"></iframe>$', report._repr_html_(), re.S)[0]
    assert unescape(inner) == page(report_data(study))
    assert 'sandbox="allow-scripts"' in attributes
    assert report.save(tmp_path / "report.html").read_text() == unescape(inner)


def test_the_figure_of_the_front_shows_its_values_with_errors(searched: Path) -> None:
    study = nas.open(searched)
    figure = study.figure("front")
    drawn = [trace for trace in figure.data if trace.name == "front"]
    assert len(drawn) == 3  # pairs of three objectives
    assert list(drawn[0].x) == [study.value(record, "macs") for record in study.front]
    assert list(drawn[0].y) == [study.value(record, "accuracy") for record in study.front]
    assert list(drawn[0].error_y.array) == [study.error(record, "accuracy") for record in study.front]
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", None)


def test_the_hypervolume_ends_with_that_of_the_study_on_every_axis(searched: Path) -> None:
    study = nas.open(searched)
    found = {trace.name: trace for trace in study.figure("hypervolume").data}
    assert list(found) == ["trials", "epochs", "seconds"]
    assert found["trials"].x[-1] == found["epochs"].x[-1] == 3  # three trials of one epoch
    assert found["seconds"].y[-1] == pytest.approx(study.hypervolume, abs=1e-6)


def test_the_parallel_axes_are_objectives_and_choices_that_differ(searched: Path) -> None:
    study = nas.open(searched)
    (trace,) = study.figure("parallel").data
    differ = [name for name in study.choices if len({record.picks[name] for record in study.complete}) > 1]
    assert [axis.label.split()[0] for axis in trace.dimensions] == [*study.objectives, *differ]
    assert all(len(axis.values) == len(study.complete) for axis in trace.dimensions)


def test_importance_has_what_can_be_told_and_curves_all_members(searched: Path) -> None:
    study = nas.open(searched)
    (macs,) = study.figure("importance").data  # of three trials no forest is made
    assert macs.name == "macs"
    assert macs.y[-1] in ("dim", "depth")  # the most important stands on top
    assert {trace.name for trace in study.figure("curves").data} == {f"trial {r.number}" for r in study.front}
    with pytest.raises(WrongInputError, match=r"too few trials .*accuracy takes \d+ more complete trials"):
        study.with_only(["accuracy"]).figure("importance")


def test_the_front_in_three_dimensions_has_all_members_and_takes_three_objectives(searched: Path) -> None:
    study = nas.open(searched)
    figure = study.figure("front3d")
    (front,) = [trace for trace in figure.data if trace.name == "front"]
    assert list(front.x) == [study.value(record, "macs") for record in study.front]
    assert (figure.layout.scene.xaxis.type, figure.layout.scene.zaxis.type) == ("log", None)
    with pytest.raises(WrongInputError, match="not three"):
        study.with_only(["accuracy", "macs"]).figure("front3d")


def test_effects_are_those_that_explain_prints(searched: Path) -> None:
    study = nas.open(searched)
    (macs,) = study.figure("effects").data
    told = explain(study)["objectives"]["macs"]["effects"]
    wanted = {f"{choice} {o}": 10**value for choice, options in told.items() for o, value in options.items()}
    assert len(macs.y) > 5
    assert dict(zip(macs.y, macs.x, strict=True)).items() <= wanted.items()


def test_text_of_a_study_is_no_markup_in_a_figure(searched: Path, tmp_path: Path) -> None:
    def change(study: Study, trial: Trial, generator: random.Random) -> Trial:
        return {"picks": {**trial["picks"], BAD: trial["number"]}}

    study = made_up(searched, tmp_path / "run", 3, change)
    study.settings.space["choices"][BAD] = [0, 1, 2]
    figure = study.figure("parallel").to_json()
    assert "<img" not in figure
    assert "&lt;img" in figure


@pytest.mark.parametrize("name", CHARTS)
def test_a_study_without_complete_trials_says_so_or_draws_what_is_there(
    name: str, searched: Path, tmp_path: Path
) -> None:
    study = made_up(searched, tmp_path / "run", 0, lambda study, trial, generator: {})
    if name in ("hypervolume", "importance", "effects"):
        assert study.figure(name).data
    else:
        with pytest.raises(WrongInputError, match="no complete trial to draw"):
            study.figure(name)


def test_an_unknown_figure_says_which_there_are(searched: Path) -> None:
    with pytest.raises(WrongInputError, match=r"unknown figure 'fronts'\. Did you mean 'front'"):
        nas.open(searched).figure("fronts")
