"""Weights, checkpoints and traces: each in the folder of its trial, and nothing else there."""

from pathlib import Path

import pytest

from nas.errors import WrongInputError
from nas.store.artifacts import Artifacts, checkpointed, keep_traces, weights_path


@pytest.mark.parametrize(
    "foreign",
    ["foo/weights.safetensors", "007/x", "3/notes.txt", "notes.txt", "\u0663/x", "3/weights.safetensors/x"],
)
def test_what_no_search_has_written_is_named_and_left_alone(tmp_path: Path, foreign: str) -> None:
    path = tmp_path / "artifacts" / foreign
    path.parent.mkdir(parents=True)
    path.touch()
    for read in (checkpointed, lambda directory: Artifacts(directory, 0)):
        with pytest.raises(WrongInputError, match=r"is nothing that a search has written\. Move it out"):
            read(tmp_path)
    assert path.exists()


def test_hidden_files_are_nobodys(tmp_path: Path) -> None:
    path = weights_path(tmp_path, 3)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"1234")
    (path.parent / ".weights.safetensors.99").touch()
    (tmp_path / "artifacts" / ".DS_Store").touch()
    assert Artifacts(tmp_path, None).bytes == 4


def test_artifacts_that_are_no_folder_are_a_message(tmp_path: Path) -> None:
    (tmp_path / "artifacts").touch()
    with pytest.raises(WrongInputError, match="artifacts"):
        Artifacts(tmp_path, None)


def test_traces_stay_when_weights_are_deleted(tmp_path: Path) -> None:
    stored = Artifacts(tmp_path, 0)
    for number in (0, 1):
        stored.keep(number, b"1234")
    keep_traces(tmp_path, 0, {"curve.csv": b"epoch"})
    stored.trim(())
    assert [path.name for path in (tmp_path / "artifacts").rglob("*")] == ["0", "curve.csv"]
    assert Artifacts(tmp_path, 0).bytes == stored.bytes == 0
