"""Architecture files and exports: refused by one message, or a network that can be priced."""

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import answered, damaged, mutated, tries

import nas
from nas.export.bundle import load_architecture
from nas.show.architecture import cost_figures, cost_table
from searchspaces import SEARCH_SPACES, Architecture
from searchspaces.known import KNOWN

pytestmark = pytest.mark.fuzz


def documents() -> list[dict[str, Any]]:
    """Published networks, and some of every space."""
    found = [make().to_json() for make in KNOWN.values()]
    for make in SEARCH_SPACES.values():
        space, generator = make((3, 32, 32), 10), Random(0)
        found += [space.decode(space.draw(generator)).to_json() for _ in range(4)]
    return found


DOCUMENTS = documents()


def check(path: Path) -> None:
    architecture = load_architecture(path)
    outputs = architecture.outputs
    assert min(*architecture.input, *((outputs,) if isinstance(outputs, int) else outputs)) >= 1
    assert sum(stage.depth for stage in architecture.stages) <= 10_000
    assert Architecture.from_json(architecture.to_json()).key == architecture.key
    figures = cost_figures(architecture)
    cost_table("fuzz", figures)
    assert figures["parameters"] >= figures["trainable_parameters"] >= 1
    assert figures["macs"] >= 1
    assert all(0 <= value <= 1e15 for part in figures["operators"] for value in part.values() if type(value) is int)
    assert all(value >= 0 for part in figures["operators"] for value in part["output"])


@given(document=st.sampled_from(DOCUMENTS).flatmap(mutated))
@tries(0.18)
def test_architectures(document: Any, tmp_path: Path) -> None:
    path = tmp_path / "architecture.json"
    path.write_text(json.dumps(document))
    with answered():
        check(path)


@given(content=st.sampled_from(DOCUMENTS).flatmap(lambda document: damaged(json.dumps(document).encode())))
@tries(0.03)
def test_bytes_of_an_architecture_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "architecture.json"
    path.write_bytes(content)
    with answered():
        check(path)


@given(shape=st.lists(st.sampled_from((1, 2, 3, 7, 8, 31, 224, 7919, 10**4, 10**5, 10**9)), min_size=3, max_size=3))
@tries(0.02)
def test_shapes(shape: list[int]) -> None:
    with answered():
        figures = cost_figures(KNOWN["convmixer_256_8"](), ",".join(map(str, shape)))
        assert 1 <= figures["macs"] <= 1e15


@pytest.fixture(scope="session")
def export(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(nas.open(study).export("knee", tmp_path_factory.mktemp("export") / "knee"))


@given(data=st.data(), name=st.sampled_from(("config.json", "origin.json")))
@tries(0.04)
def test_tables_of_an_export(export: Path, tmp_path: Path, data: st.DataObject, name: str) -> None:
    copy = Path(shutil.copytree(export, tmp_path / "copy", dirs_exist_ok=True))
    (copy / name).write_text(json.dumps(data.draw(mutated(json.loads((export / name).read_text())))))
    with answered():
        nas.load(copy)


@given(data=st.data(), name=st.sampled_from(("config.json", "origin.json", "model.safetensors")))
@tries(0.03)
def test_bytes_of_an_export(export: Path, tmp_path: Path, data: st.DataObject, name: str) -> None:
    copy = Path(shutil.copytree(export, tmp_path / "copy", dirs_exist_ok=True))
    (copy / name).write_bytes(data.draw(damaged((export / name).read_bytes())))
    with answered():
        nas.load(copy)
