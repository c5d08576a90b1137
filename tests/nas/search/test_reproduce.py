"""Claims of papers: chosen, run, kept, made into a table."""

import json
from pathlib import Path

import pytest
from terminal import run

from nas.errors import WrongInputError
from nas.presets import CLAIMS
from nas.search.reproduce import chosen, keep, kept, reproduce
from nas.show.claims import markdown

TINY = ["data.limit=120", "training.epochs=1", "seeds=3", "space.choices.dim=4"]


def quiet(message: str) -> None:
    pass


def test_claims_are_chosen_by_paper_number_and_name() -> None:
    assert set(chosen("spartan", quick=False)) == set(chosen("2507.10999", quick=False)) > {"wave_mixer"}
    assert set(chosen("filters", quick=False)) == {"filters"}
    assert set(chosen("spartan", quick=True)) == {"wave_mixer"}
    assert set(chosen(None, quick=False)) == set(CLAIMS)
    with pytest.raises(WrongInputError, match=r"unknown claim or paper 'filter'\. Did you mean 'filters'"):
        chosen("filter", quick=False)
    with pytest.raises(WrongInputError, match="lottery has no quick claim"):
        chosen("lottery", quick=True)


def test_what_came_out_is_kept_and_made_into_a_table(tmp_path: Path) -> None:
    [one] = reproduce(["coverage"], tmp_path / "runs", overrides=TINY, say=quiet)
    keep([one], tmp_path / "results")
    found = kept(tmp_path / "results")
    assert found["coverage"]["expectations"][0]["n"] == 3
    assert found["coverage"]["machine"].count("cores")
    assert (tmp_path / "results" / "coverage.json").stat().st_size < 20_000
    claims = chosen("spatial-mixing", quick=False)
    table = markdown(claims, found).splitlines()
    assert len([line for line in table if "not run" in line]) == len(claims) - 1
    assert any("spectral_coverage: box below random" in line for line in table)
    assert any(line.startswith("Run on ") for line in table)
    assert all(line.count("|") == 8 for line in table if line.startswith("|"))


@pytest.mark.parametrize("text", ["{", "[]", '{"expectations": [{}]}', '{"expectations": 3}', "[" * 10_000])
def test_a_damaged_result_is_one_message(tmp_path: Path, text: str) -> None:
    (tmp_path / "coverage.json").write_text(text)
    with pytest.raises(WrongInputError, match=r"coverage.json cannot be read: .*Write it again with --save"):
        kept(tmp_path)


def test_a_claim_without_its_data_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    said: list[str] = []
    assert reproduce(["roll_fill"], tmp_path / "runs", say=said.append) == []
    assert "roll_fill: left out, its data are not on this machine: Clone" in said[0]
    assert run("reproduce", "roll_fill", "--out", tmp_path / "runs", NAS_DATA=str(tmp_path)).returncode == 2


def test_the_command_lists_claims(tmp_path: Path) -> None:
    shown = run("reproduce", "--list", "--quick").stdout.splitlines()
    assert len(shown) == 5
    listed = json.loads(run("reproduce", "wide-sparse", "--list", "--json").stdout)
    assert listed["width"]["arxiv"] == "2306.01470"
    assert run("reproduce", "--table", tmp_path).stdout.count("not run") == len(CLAIMS)
