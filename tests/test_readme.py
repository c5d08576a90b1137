"""README and manual as a stranger follows them: every command, in order, in a fresh clone and virtual environment."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def sh(command: str, clone: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "PYTEST", "COV"))}
    result = subprocess.run(["bash", "-c", command], cwd=clone, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def clone(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("fresh") / "mixing-nas"
    subprocess.run(["git", "clone", "--quiet", repository, target], check=True)
    return target


def test_every_command_of_the_readme_runs_in_a_fresh_clone(clone: Path) -> None:
    readme, manual = ((clone / name).read_text() for name in ("README.md", "studies/README.md"))
    first, *others = blocks(readme, "bash")
    tests = others.pop()
    install, search = first.strip().rsplit(" && ", 1)
    assert "nas search studies/quickstart.toml" in search
    assert tests.strip().endswith("pytest")  # run by .ci/run, which a test holds to this README

    sh(install, clone)
    started = time.monotonic()
    output = sh(search, clone)
    seconds = time.monotonic() - started
    print(f"{search}: {seconds:.0f} s")
    assert "OK, read back and measured again: accuracy" in output
    status = json.loads(sh(".venv/bin/nas status runs/quickstart --json", clone))
    assert status["trials"]["complete"] >= 25
    assert status["front_size"] >= 4

    for block in [*others, *blocks(manual, "bash")]:
        for command in block.strip().splitlines():
            if ("fashion" in command or "cifar" in command) and "NAS_DATA" not in os.environ:
                continue
            if not command.startswith("source"):
                sh(f"source .venv/bin/activate && {command}", clone)
    for script in blocks(readme, "python"):
        (clone / "script.py").write_text(script)
        sh(".venv/bin/python script.py", clone)
