"""A user's own operator in one file: searched, priced, exported and loaded like ours."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import nas
from nas.errors import WrongInputError
from nas.plugins import load_plugins


@pytest.fixture(scope="module")
def example(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples of CONTRIBUTING.md, each in the file that its first line names, and their study."""
    text = (repository / "CONTRIBUTING.md").read_text()
    folder = tmp_path_factory.mktemp("example")
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        (folder / code.partition(":")[0].removeprefix('"""')).write_text(code)
    (study,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    (folder / "mine.toml").write_text(tomli_w.dumps({**tomllib.loads(study), "training": {"epochs": 1}}))
    return folder


def in_a_fresh_process(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_examples_are_searched(example: Path, tmp_path: Path, workers: int) -> None:
    study = nas.search(example / "mine.toml", out=tmp_path / "run", workers=workers)
    assert [record.status for record in study.records].count("complete") == 4
    assert any("gated_shift" in json.dumps(record.architecture) for record in study.complete)
    assert study.settings.data.input == (1, 6, 6)
    assert all(0.5 <= record.measured["confidence"] <= 1 for record in study.complete)


def test_the_closed_form_of_the_example_is_what_counting_gives(example: Path) -> None:
    load_plugins([example / "gated_shift.py"])
    from objectives.counting import count
    from searchspaces.architecture import TOKEN_MIXERS

    spec = TOKEN_MIXERS["gated_shift"]()
    shape = (8, 5, 7)
    cost, counts = spec.cost(shape), count(spec.build(shape), shape)
    assert (cost.macs, cost.elementwise_flops, cost.parameters) == (0, counts.elementwise_flops, counts.parameters)


def test_the_example_fulfils_the_contract_of_operators(example: Path, tmp_path: Path) -> None:
    (tmp_path / "test_gated_shift.py").write_text(
        "import pytest\n"
        "from gated_shift import GatedShift\n"
        "from nas.testing.operators import OperatorContract\n"
        "@pytest.mark.parametrize('kind', [GatedShift])\n"
        "class TestGatedShift(OperatorContract):\n"
        "    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_gated_shift.py"]
    path = os.pathsep.join([str(example), *sys.path])
    result = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout
    assert "26 passed" in result.stdout


def test_an_operator_without_a_formula_is_counted_and_the_figures_say_so(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(
        "from dataclasses import dataclass\n"
        "from searchspaces.architecture import TokenMixer, spec\n"
        "from searchspaces.operators.spatial_fc import PositionMatrix\n"
        "@spec('plain_fc')\n"
        "@dataclass(frozen=True)\n"
        "class Plain(TokenMixer):\n"
        "    def build(self, shape): return PositionMatrix(shape[1] * shape[2])\n"
    )
    load_plugins([tmp_path / "plain.py"])
    from nas.show.architecture import cost_figures
    from searchspaces import Architecture, Stage
    from searchspaces.architecture import TOKEN_MIXERS
    from searchspaces.blocks.metaformer import MetaFormerBlock
    from searchspaces.heads import AverageHead
    from searchspaces.operators.pointwise import Pointwise
    from searchspaces.operators.spatial_fc import SpatialFC
    from searchspaces.stems.patch import PatchStem

    def network(token: Any) -> Architecture:
        return Architecture(
            (3, 8, 8), 10, PatchStem(8, 2), (Stage(MetaFormerBlock(token, Pointwise())),), AverageHead()
        )

    counted, formula = cost_figures(network(TOKEN_MIXERS["plain_fc"]())), cost_figures(network(SpatialFC()))
    assert (counted["counted"], formula["counted"]) == (["plain_fc"], [])
    for figure in ("macs", "flops", "parameters", "trainable_parameters", "checkpoint_bytes"):
        assert counted[figure] == formula[figure]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"plugins: .*mine\.py does not exist"),
        ("def broken(:", r"mine\.py: cannot be loaded: SyntaxError"),
        ("import not_there", r"cannot be loaded: ModuleNotFoundError: No module named 'not_there'"),
        (
            "from searchspaces.architecture import TokenMixer, spec\n@spec('pooling')\nclass Mine(TokenMixer): pass",
            "token mixer 'pooling' is already registered",
        ),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_one_message(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "mine.py").write_text(content)
    with pytest.raises(WrongInputError, match=message):
        load_plugins([tmp_path / "mine.py"])
