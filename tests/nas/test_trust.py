"""A stranger's files are data: what they bring runs only if the user says so, and nothing is changed through links."""

import hashlib
import importlib.util
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from terminal import Result, run

import nas
from nas.errors import WrongInputError, printable
from nas.plugins import Plugin, UntrustedError, record_path

PLUGIN = Path(__file__).parent / "plugins" / "left_gate.py"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Path:
    """A study whose networks need a plugin, with an export, run by its author."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copy(PLUGIN, folder / "mine.py")
    choices = {"mixer": "left_gate", "dim": 8, "depth": [1, 2], "layout": "isotropic"}
    changes = {
        "plugins": ["mine.py"],
        "trials": 2,
        "bounds": {"macs": 1e9},
        "space": {"kind": "mixing", "choices": choices},
    }
    (folder / "small.toml").write_text(tomli_w.dumps({**small, **changes}))
    found = nas.search(folder / "small.toml", out=folder / "run")
    found.export(f"trial:{found.complete[0].number}", folder / "out")
    return folder


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What exists once the stranger's code has run."""
    return tmp_path / "it ran"


@pytest.fixture
def foreign(own: Path, mark: Path, tmp_path: Path) -> Path:
    """A copy of it as a stranger would send it: with other code, and checksums that belong to it."""
    for name in ("run", "out"):
        shutil.copytree(own / name, tmp_path / name)
        copy = tmp_path / name / "plugins" / "mine.py"
        before = hashlib.sha256(copy.read_bytes()).hexdigest()
        copy.write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")
        after = hashlib.sha256(copy.read_bytes()).hexdigest()
        for file in ("study.toml", "origin.json"):
            if (path := tmp_path / name / file).exists():
                path.write_text(path.read_text().replace(before, after))
    (tmp_path / "out" / "SHA256SUMS").unlink()
    return tmp_path


INSPECTING = [
    ["status", "run"],
    ["pareto", "run"],
    ["pareto", "run", "--all", "--json"],
    ["pareto", "run", "--plot", "front.png"],
    ["pareto", "run", "--csv", "--where", "macs<=1e9"],
    ["show", "run", "0", "--json"],
    ["optuna", "run", "-o", "study.db"],
]
RUNNING = [
    ["show", "run", "0"],
    ["export", "run", "--pick", "trial:0", "--format", "none", "-o", "taken"],
    ["cost", "run#0"],
    ["cost", "out"],
    ["train", "run#0", "--data", "digits", "--epochs", "1", "-o", "trained"],
    ["evaluate", "out", "--split", "test"],
]


@pytest.mark.parametrize("command", INSPECTING, ids=" ".join)
def test_a_strangers_study_is_inspected_without_its_code(foreign: Path, mark: Path, command: list[str]) -> None:
    result = run(*command, cwd=foreign)
    assert (result.returncode, mark.exists()) == (0, False), result.stderr


@pytest.mark.parametrize("command", RUNNING, ids=" ".join)
def test_what_needs_a_strangers_code_asks_for_it(foreign: Path, mark: Path, command: list[str]) -> None:
    result = run(*command, cwd=foreign)
    assert result.returncode == 2
    assert re.search(r"needs code that came with it and was never trusted .*plugins/mine\.py.* --trust", result.stderr)
    assert not mark.exists()
    assert {path.name for path in foreign.iterdir()} == {"run", "out"}


def test_a_study_and_an_export_in_python_run_nothing_unasked(foreign: Path, mark: Path) -> None:
    study = nas.open(foreign / "run")
    assert study.front
    assert study.status()["front_size"] == len(study.front)
    for use in (
        lambda: study.space,
        lambda: study.export("knee", foreign / "taken"),
        lambda: nas.load(foreign / "out"),
    ):
        with pytest.raises(UntrustedError, match="was never trusted on this machine"):
            use()
    assert not mark.exists()


@pytest.fixture(scope="module")
def paired(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trials as one network, by its author."""
    out = tmp_path_factory.mktemp("paired") / "pair"
    mixture = ["--alpha", "0.5", "--temperatures", "1,1"]
    done = run("pair", own / "run", "0", "1", *mixture, "-o", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("strange", [(0,), (1,), (0, 1)])
def test_a_pair_whose_members_bring_different_plugins_runs_none_that_is_not_trusted(
    paired: Path, mark: Path, tmp_path: Path, strange: tuple[int, ...]
) -> None:
    pair = Path(shutil.copytree(paired, tmp_path / "pair"))
    (pair / "SHA256SUMS").unlink()
    for number in strange:
        member = pair / "members" / str(number)
        copy = member / "plugins" / "mine.py"
        before = hashlib.sha256(copy.read_bytes()).hexdigest()
        copy.write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nNUMBER = {number}\n")
        text = (member / "origin.json").read_text()
        (member / "origin.json").write_text(text.replace(before, hashlib.sha256(copy.read_bytes()).hexdigest()))
        (member / "SHA256SUMS").unlink()
    with pytest.raises(UntrustedError, match=rf"members/{strange[0]} needs code that came with it"):
        nas.load(pair)
    result = run("evaluate", pair, "--split", "validation")
    assert (result.returncode, "was never trusted on this machine" in result.stderr) == (2, True)
    assert not mark.exists()


def test_what_was_trusted_once_is_not_asked_for_again(foreign: Path, mark: Path) -> None:
    result = run("cost", "out", "--trust", cwd=foreign)
    assert mark.exists()
    assert "unknown token mixer 'left_gate'" not in result.stderr  # this process knows that of the author
    mark.unlink()
    show = subprocess.run([sys.executable, "-m", "nas", "cost", "run#0"], cwd=foreign, capture_output=True, text=True)
    assert mark.exists()  # and then it lacks the operator, which the stranger's code does not have
    assert (show.returncode, "unknown token mixer 'left_gate'" in show.stderr) == (2, True)
    assert str(foreign / "out" / "plugins" / "mine.py") in record_path().read_text()


def test_a_search_records_its_plugins_so_that_its_author_is_never_asked(own: Path) -> None:
    trusted = [line.split()[0] for line in record_path().read_text().splitlines()]
    assert trusted.count(hashlib.sha256(PLUGIN.read_bytes()).hexdigest()) == 1
    load = "import sys, nas; print(type(nas.load(sys.argv[1])).__name__)"
    out = subprocess.run([sys.executable, "-c", load, own / "out"], capture_output=True, text=True, check=True).stdout
    assert out == "Network\n"


def test_a_training_records_its_plugins_too(own: Path, tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text(f"MINE = {str(tmp_path)!r}\n")
    options = ["--plugin", tmp_path / "more.py", "--data", "digits", "--epochs", 1, "--set", "data.limit=100"]
    done = run("train", own / "out", *options, "-o", tmp_path / "trained")
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256((tmp_path / "more.py").read_bytes()).hexdigest()
    assert digest in record_path().read_text()


def test_a_directory_is_complete_without_the_originals(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / "run", tmp_path / "run")
    (copy,) = nas.open(tmp_path / "run").plugins
    assert copy == Plugin(str(tmp_path / "run/plugins/mine.py"), PLUGIN.read_bytes())
    assert str(own) not in (tmp_path / "run" / "study.toml").read_text()


def test_a_study_with_plugins_and_own_data_is_inspected_and_goes_on_elsewhere(own: Path, tmp_path: Path) -> None:
    here, there, generator = tmp_path / "here", tmp_path / "there", np.random.default_rng(0)
    here.mkdir()
    shutil.copy(PLUGIN, here / "mine.py")
    images, labels = generator.integers(0, 256, (80, 8, 8), np.uint8), np.arange(80) % 2
    np.savez(here / "my.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    table = tomllib.loads((own / "small.toml").read_text())
    (here / "small.toml").write_text(tomli_w.dumps({**table, "data": {"name": "npz", "location": "my.npz"}}))
    front = nas.search(here / "small.toml", out=here / "run").front

    there.mkdir()
    shutil.move(here / "run", there / "run")
    shutil.move(here / "my.npz", there / "my.npz")
    shutil.rmtree(here)
    code = (
        "import nas\n"
        "print([record.number for record in nas.open('run').front], nas.open('run').pick('knee').number)\n"
        "print(len(nas.search('run/study.toml', set=['data.location=my.npz'], trials=3).records))\n"
    )
    stranger = {**os.environ, "XDG_CONFIG_HOME": str(there)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=there, env=stranger, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{[record.number for record in front]} ")
    assert done.stdout.splitlines()[-1] == "3"
    assert "they are the same (checksum)" in done.stderr


def test_a_copy_that_is_not_what_was_copied_is_refused(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / "run", tmp_path / "run")
    (tmp_path / "run" / "plugins" / "mine.py").write_text("print('edited')\n")
    with pytest.raises(WrongInputError, match=r"mine\.py is not the file that was copied there"):
        _ = nas.open(tmp_path / "run").space


def test_a_compiled_file_beside_a_plugin_is_never_run(tmp_path: Path, mark: Path) -> None:
    plugin, other = tmp_path / "innocent.py", tmp_path / "other.py"
    plugin.write_text("DONE = True\n")
    other.write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")
    py_compile.compile(
        str(other),
        importlib.util.cache_from_source(str(plugin)),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    Plugin.read(plugin).run()
    assert not mark.exists()


def test_an_edited_plugin_is_refused_by_name_until_the_user_accepts_it(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own, tmp_path / "moved")
    folder = tmp_path / "moved"
    study, plugin = folder / "small.toml", folder / "mine.py"

    def search(*options: str) -> Result:
        command = [sys.executable, "-m", "nas", "search", study, "--out", folder / "run", "--trials", "3", *options]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        return Result(done.returncode, done.stdout, done.stderr)

    plugin.write_text(plugin.read_text() + "\n# edited\n")
    refused = search()
    assert refused.returncode == 2
    assert re.search(r"plugins have changed since .*mine\.py \(as it was: .*--accept-changes", refused.stderr)
    assert (folder / "run/plugins/mine.py").read_bytes() == PLUGIN.read_bytes()
    accepted = search("--accept-changes")
    assert accepted.returncode == 0, accepted.stderr
    assert (folder / "run/plugins/mine.py").read_bytes() == plugin.read_bytes()


@pytest.mark.parametrize("name", ["artifacts", "artifacts/0", "trials.jsonl", "events.jsonl", "lock", "plugins"])
def test_nothing_is_changed_through_a_link_below_a_study(own: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(own / "run", tmp_path / "run")
    outside, link = tmp_path / "outside", tmp_path / "run" / name
    shutil.move(link, outside)
    link.symlink_to(outside)
    (tmp_path / "run" / "artifacts" / ".mine").touch() if name == "artifacts" else None
    before = {path: path.stat().st_mtime_ns for path in [outside, *outside.rglob("*")]}
    with pytest.raises(WrongInputError, match=f"{re.escape(str(link))} is a symbolic link to .*outside"):
        nas.search(own / "small.toml", out=tmp_path / "run", trials=4)
    assert before == {path: path.stat().st_mtime_ns for path in [outside, *outside.rglob("*")]}


def test_an_evaluation_is_not_noted_through_a_link(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / "out", tmp_path / "out")
    (tmp_path / "diary").write_text("mine\n")
    (tmp_path / "out" / "evaluations.jsonl").symlink_to(tmp_path / "diary")
    result = run("evaluate", tmp_path / "out", "--split", "test")
    assert result.returncode == 1
    assert re.search(r"evaluations\.jsonl cannot be written \(.*\), so this was not noted: .*accuracy", result.stderr)
    assert (tmp_path / "diary").read_text() == "mine\n"


EVIL = "[red]x[link=a] \x1b[2J\x1b]0;title\x07 \x9b31m \u202e"


@pytest.mark.parametrize("command", [["status"], ["pareto", "--all"], ["pareto", "--all", "--csv"], ["show", "0"]])
def test_text_from_files_cannot_steer_a_terminal(own: Path, tmp_path: Path, command: list[str]) -> None:
    shutil.copytree(own / "run", tmp_path / "run")
    log, study = tmp_path / "run" / "trials.jsonl", tmp_path / "run" / "study.toml"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    for record in records:
        record |= {"status": "failed", "failure": "bug", "error": EVIL, "key": EVIL}
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    study.write_text(study.read_text().replace('name = "small"', 'name = "[red]x[link=a]"', 1))
    result = run(command[0], tmp_path / "run", *command[1:])
    shown = result.stdout + result.stderr
    assert not any(c in shown for c in "\x1b\x07\x9b\u202e")
    assert "[red]x[link=a]" in shown
    assert result.returncode == 0


def test_an_error_message_cannot_steer_a_terminal(tmp_path: Path) -> None:
    result = run("status", tmp_path / "a\x1b[2Jb")
    assert (result.returncode, "\x1b" in result.stderr, r"a\x1b[2Jb" in result.stderr) == (2, False, True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, äöü 漢字 \u00a0 🙂\n\tnext", "plain, äöü 漢字 \u00a0 🙂\n\tnext"),
        ("a\x1b[2Jb\r\x7f\x9b", r"a\x1b[2Jb\r\x7f\x9b"),
        ("\u202eevil\u2066\ufeff\u2028", r"\u202eevil\u2066\ufeff\u2028"),
        (os.fsdecode(b"not \xff utf-8"), r"not \udcff utf-8"),
    ],
)
def test_printable_shows_what_cannot_be_seen(text: str, shown: str) -> None:
    assert printable(text) == shown
