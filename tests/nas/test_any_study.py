"""Every command that reads a study copes with every study: it answers, or refuses in one message."""

import json
import shutil
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from terminal import run

import nas
from nas.cli import cli
from nas.store.history import History

KINDS = ("empty", "failed", "one", "five", "running")
OBJECTIVES = ("accuracy", "robust_accuracy", "macs", "parameters", "synflow")
CLOSED = {"freeze": ["full"], "filters": ["random"], "dilation": [1], "groups": [1]}  # four networks are left
FAILED = {"status": "failed", "failure": "out_of_memory", "measured": {}, "spread": {}, "settings": {}, "error": "no"}
COMMANDS = {
    "status": ["", "--json"],
    "pareto": ["", "--all", "--wide", "--csv", "--all --csv", "--where accuracy>=0", "--objectives accuracy"],
    "explain": [""],
    "report": ["-o {out}.html", "{directory} -o {out}.html"],
    "optuna": ["-o {out}.db"],
    "watch": ["-o {out}.html"],
    "pick": ["best:accuracy", "knee", "front", "trial:0", "one-se:accuracy"],
    "show": ["0 --svg {out}.svg", "0 --against 1"],
    "diff": ["0 1", "--front", "0 1 --cka"],
    "export": ["--pick best:accuracy -o {out}", "--pick front --no-verify --format none -o {out}"],
    "pair": ["0 1 --probe -o {out}"],
    "measure": ["--objective robust_accuracy,attack=fgsm,samples=20"],
    "confirm": ["--budget 1 --seeds 1"],
}
"""Command that reads a study -> what is given after the directory."""
ALWAYS = {"status", "pareto", "explain", "report", "optuna", "watch", "mlflow"}
"""What answers of a study without a complete trial too."""
if find_spec("mlflow"):
    COMMANDS["mlflow"] = ["-o {out}"]
PLOT = "pareto {directory} --plot {out}.png"
ELSE = {
    "ablate",
    "new",
    "reproduce",
    "compare",
    "cost",
    "data",
    "evaluate",
    "known",
    "predict",
    "profile",
    "search",
    "spaces",
    "train",
} | ({"mlflow"} - COMMANDS.keys())
"""Commands that read no study, or make one."""
REFUSED = {
    ("one", "diff {directory} --front"): "no objective of",  # nothing says what is cheap
    ("one", "pick {directory} one-se:accuracy"): "needs to know what is cheap",
    ("running", "confirm {directory} --budget 1 --seeds 1"): "another search is writing to",
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Iterator[dict[str, Path]]:
    """Directories of studies that examples do not have, by kind."""
    place = tmp_path_factory.mktemp("studies")
    space = {**small["space"], "choices": {**small["space"]["choices"], **CLOSED}}
    (place / "five.toml").write_text(tomli_w.dumps({**small, "trials": 3, "objectives": OBJECTIVES, "space": space}))
    nas.search(place / "five.toml", out=place / "five")
    trials = [json.loads(line) for line in (place / "five" / "trials.jsonl").read_text().splitlines()]
    logs = {"empty": [], "failed": [trial | FAILED for trial in trials], "one": trials, "running": trials}
    for kind, lines in logs.items():
        shutil.copytree(place / "five", place / kind)
        (place / kind / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = tomllib.loads((place / "one" / "study.toml").read_text())
    for of in (table["objective"], table["reference"], table["facts"]["objectives"]):
        for name in OBJECTIVES[1:]:
            del of[name]
    (place / "one" / "study.toml").write_text(tomli_w.dumps({**table, "objectives": ["accuracy"]}))
    with History(place / "running"):
        with (place / "running" / "trials.jsonl").open("a") as log:
            log.write('{"schema":3,"number":3,"sta')  # as much of the next line as is written
        yield {kind: place / kind for kind in KINDS}


def test_no_command_is_forgotten() -> None:
    assert set(cli.commands) == {*COMMANDS, *ELSE}


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_answers_or_refuses_in_one_message(kind: str, studies: dict[str, Path], tmp_path: Path) -> None:
    asked = [f"{name} {{directory}} {rest}".strip() for name, options in COMMANDS.items() for rest in options]
    if kind == "running":
        asked = [words for words in asked if not words.startswith("watch")]  # which would follow it until it ends
    else:
        asked.append(PLOT)
    for at, words in enumerate(asked):
        result = run(*words.format(directory=studies[kind], out=tmp_path / str(at)).split())
        told = f"{words}: {result}"
        complete = kind not in ("empty", "failed")
        needless = words.split()[0] in ALWAYS and words != PLOT
        if (kind, words) in REFUSED:
            assert REFUSED[kind, words] in result.stderr, told
        elif complete or needless or (kind, words.split()[0]) == ("failed", "show"):
            assert result.returncode == 0, told
            continue
        assert result.returncode in (1, 2), told
        assert result.stdout == "", told
        assert len(result.stderr.splitlines()) == 1, told
        assert result.stderr.startswith("Error: "), told
