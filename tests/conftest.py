"""What all tests share: one torch thread, the folder of real data, small study files."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tomli_w
import torch

PACKAGES = ("nas", "searchspaces", "objectives", "trainers")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test begins first, so that at the end no worker waits for it alone."""
    items.sort(key=lambda item: "test_every_command_of_the_readme" not in item.name)


@pytest.fixture(scope="session", autouse=True)
def _own_configuration(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests trust does not get into the record of the person who runs them."""
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module", autouse=True)
def _no_plugins_of_others() -> Iterator[None]:
    """What plugins registered in a module is forgotten after it, so that who goes through a table finds ours."""
    before = set(getattr(sys.modules.get("nas.plugins"), "_RUN", ()))
    yield
    ran: dict[str, ModuleType] = getattr(sys.modules.get("nas.plugins"), "_RUN", {})
    gone = {digest: ran[digest].__name__ for digest in ran if digest not in before}
    if not gone:
        return
    tables = [vars(sys.modules[name]).values() for name in [*sys.modules] if name.partition(".")[0] in PACKAGES]
    for table in [value for values in tables for value in values if type(value) is dict]:
        for key in [key for key, value in table.items() if getattr(value, "__module__", None) in gone.values()]:
            del table[key]
    for digest, name in gone.items():
        del ran[digest]
        sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return Path(__file__).parent.parent


@pytest.fixture
def nas_data() -> Path:
    """Folder of the real data sets."""
    root = os.environ.get("NAS_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("NAS_DATA does not name a folder with the real data sets")
    return Path(root)


SMALL: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "trials": 4,
    "objectives": ["accuracy", "robust_accuracy", "macs"],
    "space": {"kind": "convmixer", "choices": {"dim": [8, 16], "depth": [1, 2], "patch": [2], "kernel": [3]}},
    "data": {"name": "digits", "limit": 200},
    "training": {"epochs": 1},
    "objective": {"robust_accuracy": {"steps": 2, "samples": 20}},
}


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """The tables of a study of a second or two."""
    return SMALL


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a study of a second or two; keyword arguments replace its tables, None removes one."""

    def write(**changes: Any) -> Path:
        table = {k: v for k, v in {**SMALL, **changes}.items() if v is not None}
        path = tmp_path / f"{table.get('name', 'study')}.toml"
        path.write_text(tomli_w.dumps(table))
        return path

    return write
