"""The house: who may import what, what an import costs, and that the documents say what is run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "optuna", "ray", "sklearn", "matplotlib", "pydantic", "rich", "numpy"}
LEAVES = ("searchspaces", "trainers", "objectives")


def imported(code: str) -> set[str]:
    """Top-level names of the modules that are loaded after running ``code`` in a fresh process."""
    report = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


def test_import_contracts_hold(repository: Path) -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint_imports, "--no-cache"], cwd=repository, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_imports_no_other_leaf_and_no_search_machinery(leaf: str) -> None:
    names = imported(f"import {leaf}")
    assert leaf in names
    assert names.isdisjoint({"nas", "optuna", "ray", "click", "rich", "pydantic", *LEAVES} - {leaf})


def test_importing_nas_imports_nothing_heavy() -> None:
    assert imported("import nas").isdisjoint(HEAVY)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['nas', '--help']\nfrom nas.cli import main\ntry: main()\nexcept SystemExit: pass"
    assert imported(code).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "name",
    ["search", "status", "pareto", "show", "optuna", "export", "train", "evaluate", "data", "cost", "spaces", "known"],
)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = subprocess.run([sys.executable, "-m", "nas", name, "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert f"Example: nas {name}" in result.stdout


def commands(path: Path) -> list[str]:
    """The commands in the ``bash`` blocks of a Markdown file, one a line."""
    blocks = re.findall(r"```bash\n(.*?)```", path.read_text(), re.S)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip() and line[0] != "#"]


def test_ci_runs_what_contributing_says_and_the_test_command_of_the_readme(repository: Path) -> None:
    ci = (repository / ".ci" / "run").read_text()
    for command in commands(repository / "CONTRIBUTING.md"):
        assert command in ci, f"{command!r} of CONTRIBUTING.md is not in .ci/run"
    (tests,) = [command for command in commands(repository / "README.md") if "pytest" in command]
    assert tests in ci
