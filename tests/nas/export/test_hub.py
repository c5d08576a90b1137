"""Exports as models of Hugging Face's hub, offline: opened from a folder, saved as what would be pushed."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import nas
from nas.errors import WrongInputError
from nas.export.bundle import write_bundle, write_sums
from nas.export.hub import FoldersAlone, HubNetwork
from nas.settings import settings_of
from nas.store.records import TrialRecord
from nas.trial import serialize
from searchspaces import SEARCH_SPACES, build


@pytest.fixture
def out(tmp_path: Path) -> Path:
    space = SEARCH_SPACES["convmixer"]((1, 8, 8), 10)
    architecture = space.decode(space.first | {"dim": 16})
    record = TrialRecord(0, "complete", {}, architecture.to_json(), architecture.key, 1)
    settings = settings_of({"name": "hub", "objectives": ["accuracy"], "data": {"name": "digits"}})
    write_bundle(record, settings, [], serialize(build(architecture, seed=1)), tmp_path / "out", drawn_of=[record])
    (tmp_path / "out" / "README.md").write_text("# A network\n")
    write_sums(tmp_path / "out")
    return tmp_path / "out"


def test_a_folder_is_opened_without_the_net_and_saved_as_it_is(out: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: pip install 'mixing-nas[hub]'")
    network = HubNetwork.from_pretrained(str(out), local_files_only=True)
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(network(images), nas.load(out)(images))
    network.save_pretrained(tmp_path / "saved")
    assert {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()} == {
        path.name: path.read_bytes() for path in out.iterdir()
    }
    assert torch.equal(HubNetwork.from_pretrained(tmp_path / "saved")(images), network(images))


def test_what_is_pushed_are_the_files_of_the_export_and_comes_back_by_its_name(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="it is not installed: pip install 'mixing-nas[hub]'")
    there = tmp_path / "there"

    def create_repo(self: Any, repo_id: str, **options: Any) -> Any:
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(self: Any, *, repo_id: str, folder_path: Path, **options: Any) -> None:
        shutil.copytree(folder_path, there / repo_id)

    monkeypatch.setattr(hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(hub.HfApi, "upload_folder", upload_folder)

    def hf_hub_download(*, repo_id: str, filename: str, **options: Any) -> str:  # the mix-in asks for config.json first
        return str(there / repo_id / filename)

    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", hf_hub_download)
    monkeypatch.setattr(hub, "snapshot_download", lambda repo_id, **options: str(there / repo_id))
    network = HubNetwork.from_pretrained(out)
    network.push_to_hub("me/knee")
    assert {path.name: path.read_bytes() for path in (there / "me/knee").iterdir()} == {
        path.name: path.read_bytes() for path in out.iterdir()
    }
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(HubNetwork.from_pretrained("me/knee", revision="main")(images), network(images))
    (there / "me/knee" / "README.md").write_text("# Another network\n")
    with pytest.raises(WrongInputError, match=r"README\.md is damaged"):
        HubNetwork.from_pretrained("me/knee")


def test_a_folder_that_was_changed_is_neither_opened_nor_saved(out: Path, tmp_path: Path) -> None:
    network: Any = HubNetwork(out)
    with (out / "model.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(WrongInputError, match=r"model\.safetensors is damaged"):
        HubNetwork.from_pretrained(str(out))
    with pytest.raises(WrongInputError, match=r"model\.safetensors is damaged"):
        network.save_pretrained(tmp_path / "saved")


def test_without_the_package_a_push_says_what_to_install() -> None:
    with pytest.raises(WrongInputError, match=r"the hub takes huggingface_hub: pip install 'mixing-nas\[hub\]'"):
        FoldersAlone().push_to_hub("me/knee")
