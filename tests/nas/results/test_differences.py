"""Two trials beside each other: what differs, and what their layers have in common."""

import io
import json
import shutil
from pathlib import Path

import pytest
from terminal import run

import nas
from nas.errors import WrongInputError
from nas.results.differences import chain, differences, similarity
from nas.show.console import PlainConsole
from nas.show.differences import difference_table, similarity_table
from nas.store.artifacts import weights_path


def test_only_used_picks_that_differ_are_named_and_all_values(searched: Path) -> None:
    study = nas.open(searched)
    one, other = study.trial(0), study.trial(1)
    found = differences(study, one, other)
    used = study.space.used(one.picks) | study.space.used(other.picks)
    expected = {name: [one.picks[name], other.picks[name]] for name in used if one.picks[name] != other.picks[name]}
    assert expected
    assert found["picks"] == expected
    assert found["measured"] == {name: [one.measured[name], other.measured[name]] for name in one.measured}
    assert differences(study, one, one)["picks"] == differences(study, one, one)["facts"] == {}


def test_a_trained_network_is_like_itself_and_less_like_another(searched: Path) -> None:
    study = nas.open(searched)
    same = similarity(study, study.trial(0), study.trial(0))
    assert same.diagonal == pytest.approx(1)
    other = similarity(study, study.trial(0), study.trial(1))
    assert other.cka.max() < 1
    turned = similarity(study, study.trial(1), study.trial(0))
    assert other.cka.T.numpy() == pytest.approx(turned.cka.numpy())


def test_a_trial_without_weights_is_refused(searched: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(searched, tmp_path / "run"))
    weights_path(directory, 1).unlink()
    study = nas.open(directory)
    with pytest.raises(WrongInputError, match=r"trial 1 has no weights any more: .* --retrain"):
        similarity(study, study.trial(0), study.trial(1))


def test_the_command_prints_two_tables_or_one_object(searched: Path) -> None:
    figures = json.loads(run("diff", searched, 0, 1, "--cka", "--json").stdout)
    assert figures["trials"] == [0, 1]
    assert len(figures["cka"]["values"]) == len(figures["cka"]["rows"])
    console = PlainConsole(file=io.StringIO(), width=120)
    console.print(difference_table(figures, nas.open(searched).objectives))
    console.print(similarity_table(figures))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "what differs" in text
    assert "trial 0 \\ 1" in text
    assert "accuracy" in text
    assert "stem" in text


def test_values_have_errors_and_predictions_are_compared(searched: Path) -> None:
    study = nas.open(searched)
    found = differences(study, study.trial(0), study.trial(1))
    assert found["errors"]["accuracy"] == [study.error(study.trial(n), "accuracy") for n in (0, 1)]
    assert found["mcnemar"]["p"] == study.compare(0, 1).p


def test_trials_of_two_studies_are_compared(searched: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(searched, tmp_path / "other"))
    figures = json.loads(run("diff", searched, 0, f"{other}#1", "--json").stdout)
    assert figures["studies"] == [str(searched), str(other)]
    assert figures["picks"] == json.loads(run("diff", searched, 0, 1, "--json").stdout)["picks"]
    assert run("diff", searched, 0, f"{other}#1", "--cka").returncode == 2


def test_the_chain_runs_from_the_cheapest_member_and_says_what_a_step_buys(searched: Path) -> None:
    study = nas.open(searched)
    found = chain(study)
    assert found["first"] == study.pick("best:macs").number
    for step in found["steps"]:
        assert step["cost"] == step["difference"]["macs"] >= 0
        gained, paid = step["difference"]["accuracy"], step["cost"]
        assert step["buys"]["accuracy"] == pytest.approx(gained / paid * found["unit"])
    shown = run("diff", searched, "--front").stdout
    assert f"the front from trial {found['first']}, by macs" in shown
    assert f"for each {found['unit'] / 1000:.2f} k of macs more" in shown or found["unit"] < 1000
    assert run("diff", searched, 0).returncode == 2


def test_data_belongs_to_cka(searched: Path) -> None:
    result = run("diff", searched, 0, 1, "--data", "digits")
    assert result.returncode == 2
    assert "--data belongs to --cka" in result.stderr
