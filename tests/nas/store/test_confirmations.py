"""The file of replicates: whole, checked line by line, of one writer."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.errors import StoppedError, WrongInputError
from nas.store.confirmations import Protocol, Replicate, open_confirmations, read_confirmations
from nas.store.records import TrialRecord

TRIALS = [TrialRecord(n, "complete", {}, {}, f"key {n}", 0, measured={"accuracy": 0.5}) for n in range(2)]


def replicate(trial: int, number: int = 0, **changes: Any) -> Replicate:
    return Replicate(number, replace(Protocol(8), **changes), 4, replace(TRIALS[trial], seed=7 + number))


def test_replicates_survive_closing_and_opening(tmp_path: Path) -> None:
    written = [replicate(0), replicate(0, 1), replicate(1, split="test", attack="apgd")]
    with open_confirmations(tmp_path, TRIALS) as kept:
        for one in written:
            kept.add(one)
    assert read_confirmations(tmp_path, TRIALS) == written
    assert read_confirmations(tmp_path / "elsewhere", TRIALS) == []


def test_a_last_line_cut_short_is_kept_aside_with_a_note(tmp_path: Path) -> None:
    with open_confirmations(tmp_path, TRIALS) as kept:
        kept.add(replicate(0))
        kept.add(replicate(1))
    path = tmp_path / "confirmations.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert read_confirmations(tmp_path, TRIALS) == [replicate(0)]
    with open_confirmations(tmp_path, TRIALS) as kept:
        assert "cut short" in kept.notes[0]
        kept.add(replicate(1))
    assert read_confirmations(tmp_path, TRIALS) == [replicate(0), replicate(1)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"replicate": -1}, "replicate must be a whole number from 0"),
        ({"wanted": None}, "wanted must be a whole number from 0"),
        ({"epochs": 1.5}, "epochs must be a whole number from 0"),
        ({"split": "train"}, "split must be one of validation, test"),
        ({"attack": 3}, "attack must be a word or null"),
        ({"record": {}}, "it is not a trial record"),
        ({"schema": 9}, "its format is 9, this version reads 3"),
        ({"record": {**TRIALS[0].to_json(), "key": "other"}}, "trial 0 of the study is another network"),
        ({}, r"replicate 0 of trial 0 \(8 epochs, validation images\) is recorded twice"),
    ],
)
def test_damage_is_named_and_left_alone(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = tmp_path / "confirmations.jsonl"
    lines = [replicate(0).to_json(), {**replicate(0).to_json(), **change}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = path.read_bytes()
    for read in (read_confirmations, open_confirmations):
        with pytest.raises(WrongInputError, match=rf"confirmations\.jsonl, line 2 is damaged \({reason}"):
            read(tmp_path, TRIALS)
    assert path.read_bytes() == before


def test_there_is_one_writer(tmp_path: Path) -> None:
    with (
        open_confirmations(tmp_path, TRIALS),
        pytest.raises(WrongInputError, match=r"another process writes to .*Wait for"),
    ):
        open_confirmations(tmp_path, TRIALS)


def test_a_file_that_is_changed_meanwhile_stops_its_writer(tmp_path: Path) -> None:
    with open_confirmations(tmp_path, TRIALS) as kept:
        kept.add(replicate(0))
        (tmp_path / "confirmations.jsonl").write_text("")
        with pytest.raises(StoppedError, match=r"confirmations\.jsonl was changed by another process"):
            kept.add(replicate(1))
