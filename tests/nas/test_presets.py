"""Studies of the package: named where no file is, copied to start from, with a comment on each line."""

import tomllib
from pathlib import Path

import pytest
from terminal import run

from nas.errors import WrongInputError
from nas.presets import CLAIMS, PRESETS, study_file
from nas.settings import read_settings

STUDIES = Path(__file__).parents[2] / "studies"


def test_presets_and_claims_are_the_files_of_the_repository() -> None:
    assert {"quickstart", "robust", "audio", "forecast"} <= PRESETS.keys()
    for name, path in PRESETS.items():
        assert path.read_bytes() == (STUDIES / f"{name}.toml").read_bytes()
    assert set(CLAIMS) == {path.stem for path in (STUDIES / "claims").glob("*.toml")}


@pytest.mark.parametrize("name", PRESETS)
def test_every_line_of_a_preset_has_a_comment(name: str) -> None:
    text = PRESETS[name].read_text()
    bare = [line for line in text.splitlines() if line and not line.startswith("[") and "#" not in line]
    assert bare == []
    assert tomllib.loads(text)["name"] == name


def test_a_preset_is_found_by_its_name_where_no_file_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings(Path("quickstart")).name == "quickstart"
    (tmp_path / "quickstart").write_text('name = "mine"\nobjectives = ["accuracy"]\n')
    assert read_settings(Path("quickstart")).name == "mine"
    assert study_file(Path("quikstart")) == Path("quikstart")
    known = "audio, forecast, quickstart, robust"
    with pytest.raises(WrongInputError, match=rf"does not exist.*or the name of a preset: {known}"):
        read_settings(Path("quikstart"))


def test_a_preset_is_copied_once(tmp_path: Path) -> None:
    result = run("new", "robust", "-o", "mine.toml", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "nas search mine.toml" in result.stdout
    assert (tmp_path / "mine.toml").read_bytes() == PRESETS["robust"].read_bytes()
    assert run("new", "audio", "-o", "mine.toml", cwd=tmp_path).returncode == 2
    assert run("new", "audio", "-o", "mine.toml", "--force", cwd=tmp_path).returncode == 0
    assert read_settings(tmp_path / "mine.toml").name == "audio"
    assert "Did you mean 'robust'" in run("new", "robst", cwd=tmp_path).stderr
    assert "quickstart  All five axes of mixing" in run("new", cwd=tmp_path).stdout
