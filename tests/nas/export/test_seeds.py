"""Frozen tensors as seeds in an export: smaller by their share, the same network bit for bit, refused where changed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import nas
from nas.errors import WrongInputError
from nas.export.bundle import full_weights, load_network, write_bundle
from nas.export.formats import FORMATS, Taken
from nas.export.proof import answers, prove
from nas.export.seeds import MOST
from nas.settings import Settings, settings_of
from nas.store.records import TrialRecord
from nas.trial import serialize
from searchspaces import Architecture, build
from searchspaces.architecture import Stage
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.heads import AverageHead
from searchspaces.layers.draws import drawn
from searchspaces.operators.depthwise import Depthwise
from searchspaces.stems.patch import PatchStem

HEADER = 2_000
"""Bytes of the header of a small safetensors file."""


def chans(dim: int, depth: int, kernel: int, filters: str = "random") -> Architecture:
    block = ConvMixerBlock(Depthwise(kernel, filters=filters), freeze="chans")
    return Architecture((3, 8, 8), 10, PatchStem(dim, 1), (Stage(block, depth),), AverageHead())


def trial(architecture: Architecture, seed: int = 1, **fields: Any) -> TrialRecord:
    return TrialRecord(0, "complete", {}, architecture.to_json(), architecture.key, seed, **fields)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return settings_of({"name": "seeds", "objectives": ["accuracy"], "data": {"name": "digits"}})


def pair_of(folder: Path, record: TrialRecord, settings: Settings, weights: bytes) -> tuple[Path, Path]:
    """The same network with seeds, and written out."""
    for name, known in (("seeded", [record]), ("full", [])):
        write_bundle(record, settings, [], weights, folder / name, drawn_of=known)
    return folder / "seeded", folder / "full"


def size(out: Path) -> int:
    return (out / "model.safetensors").stat().st_size


def test_a_chans_convmixer_is_smaller_by_its_depthwise_weights_and_the_same_bit_for_bit(
    settings: Settings, tmp_path: Path
) -> None:
    record = trial(architecture := chans(128, 8, 8))
    seeded, full = pair_of(tmp_path, record, settings, serialize(build(architecture, seed=record.seed)))
    depthwise = 8 * 128 * 8 * 8 * 4
    assert depthwise <= size(full) - size(seeded) <= depthwise + HEADER
    assert size(seeded) / size(full) == pytest.approx(1 - depthwise / size(full), abs=0.002)
    networks = [nas.load(out) for out in (seeded, full)]
    states = [network.state_dict() for network in networks]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(networks[0](images), networks[1](images))
    assert full_weights(seeded) == (full / "model.safetensors").read_bytes()


@pytest.fixture
def seeded(settings: Settings, tmp_path: Path) -> Path:
    record = trial(architecture := chans(4, 2, 3))
    return pair_of(tmp_path, record, settings, serialize(build(architecture, seed=record.seed)))[0]


def change(out: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((out / "config.json").read_text())
    edit(config["frozen"])
    (out / "config.json").write_text(json.dumps(config))


def first(frozen: dict[str, Any]) -> dict[str, Any]:
    one: dict[str, Any] = next(iter(frozen["tensors"].values()))
    return one


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda frozen: first(frozen).update(seed=5), r"does not make the tensor that was exported.*--materialise"),
        (lambda frozen: first(frozen).update(sha256="0" * 64), "does not make the tensor that was exported"),
        (lambda frozen: first(frozen).update(seed=-1), "a seed must be a whole number below"),
        (lambda frozen: first(frozen).update(shape=[4, 1, 5, 5]), "draws no .* of shape"),
        (lambda frozen: first(frozen).update(shape=[MOST, 2]), "its seeds make .* numbers, at most"),
        (lambda frozen: frozen["tensors"].update(other=first(frozen)), "the network draws no 'other'"),
        (
            lambda frozen: frozen.update(generator="mt19937"),
            "drawn by 'mt19937', and this version draws by splitmix64",
        ),
        (lambda frozen: frozen.update(tensors=[]), "frozen must be an object"),
        (lambda frozen: frozen["tensors"].clear(), "it holds no blocks.* of shape|the network has"),
    ],
)
def test_seeds_that_are_not_those_of_the_network_are_refused(
    seeded: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    load_network(seeded)
    change(seeded, edit)
    with pytest.raises(WrongInputError, match=message):
        load_network(seeded)


def test_tensors_that_were_drawn_otherwise_are_stored(settings: Settings, tmp_path: Path) -> None:
    architecture = chans(4, 2, 3)
    network = build(architecture, seed=1)
    with torch.no_grad():
        network.get_parameter(next(iter(drawn(network)))).add_(1)
    seeded, full = pair_of(tmp_path, trial(architecture), settings, serialize(network))
    config = json.loads((seeded / "config.json").read_text())
    assert list(config["frozen"]["tensors"]) == list(drawn(network))[1:]
    assert full_weights(seeded) == (full / "model.safetensors").read_bytes()


def test_what_a_trial_has_from_those_it_began_with_has_their_seeds(settings: Settings, tmp_path: Path) -> None:
    architecture = chans(4, 2, 3)
    relative = replace(trial(architecture, seed=7), number=3)
    record = trial(architecture, seed=8, inherited={"trial": 3, "share": 1.0})
    write_bundle(record, settings, [], serialize(build(architecture, seed=7)), tmp_path, drawn_of=[record, relative])
    frozen = json.loads((tmp_path / "config.json").read_text())["frozen"]
    assert len(frozen["tensors"]) == 2
    load_network(tmp_path)


def test_model_py_reads_in_full_what_the_weights_hold_as_seeds(seeded: Path) -> None:
    network = load_network(seeded)
    FORMATS["python"]().write(Taken(network, (3, 8, 8)), seeded)
    assert safetensors.torch.load_file(seeded / "frozen.safetensors").keys() == drawn(network).keys()
    images = torch.rand(7, 3, 8, 8)
    assert prove("python", seeded, images, answers(network, images)).largest_difference < 1e-6
