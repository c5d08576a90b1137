"""Memory of training, known from shapes, against what autograd keeps of real networks."""

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.pricing import Probe
from nas.testing.objectives import candidate
from objectives import Candidate
from objectives.costs import CheckpointBytes
from objectives.memory import ActivationMemory, TrainingMemory
from searchspaces import SEARCH_SPACES, build
from searchspaces.known import KNOWN


def kept_bytes(model: nn.Module, images: Tensor) -> int:
    """Bytes that autograd keeps of a training step, parameters and buffers left out."""
    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    storages: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = model.train()(images)
    found = sum(storage.nbytes() for pointer, storage in storages.items() if pointer not in own)
    del logits  # only now: it keeps the storages alive, so that no two share an address
    return found


@pytest.mark.parametrize("space", SEARCH_SPACES)
def test_activation_memory_is_what_autograd_keeps_of_a_batch(space: str) -> None:
    found, generator = SEARCH_SPACES[space]((1, 8, 8), 10), random.Random(1)
    for picks in (found.first, found.draw(generator), found.draw(generator)):
        architecture = found.decode(picks)
        with torch.device("meta"):
            meta = Candidate(build(architecture), architecture.input)
        assert ActivationMemory(batch=5).measure(meta) == kept_bytes(build(architecture), torch.rand(5, 1, 8, 8))


@pytest.mark.parametrize("name", ["patchtsmixer", "dlinear", "timemixer"])
def test_activation_memory_of_a_forecast_is_what_autograd_keeps_of_a_batch(name: str) -> None:
    architecture = KNOWN[name]()
    with torch.device("meta"):
        meta = Candidate(build(architecture), architecture.input)
    windows = torch.rand(5, *architecture.input)
    assert ActivationMemory(batch=5).measure(meta) == kept_bytes(build(architecture), windows)


def test_training_memory_of_a_linear_network_by_hand() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    model[1].requires_grad_(False)
    one = Candidate(model, (1, 2, 2))
    weights, trained = 4 * (15 + 8), 4 * 8
    assert CheckpointBytes().measure(one) == weights
    assert ActivationMemory(batch=7).measure(one) == 7 * 3 * 4  # the input of the last layer, which ReLU keeps too
    assert TrainingMemory(batch=7).measure(one) == weights + 3 * trained + 84
    assert TrainingMemory(batch=7, moments=0).measure(one) == weights + trained + 84


def test_frozen_filters_need_neither_gradients_nor_moments() -> None:
    one = candidate(TrainingMemory)
    more = TrainingMemory(moments=2).measure(one) - TrainingMemory(moments=1).measure(one)
    assert more == 4 * one.counts.trainable_parameters < 4 * one.counts.parameters


def test_measuring_memory_leaves_the_statistics_of_a_real_network_alone() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert ActivationMemory().measure(Candidate(model, (1, 2, 2))) > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not model[1].training


def test_a_batch_of_no_images_is_refused() -> None:
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        ActivationMemory(batch=0)


def test_the_dearest_memory_of_a_space_is_bounded_by_closed_forms() -> None:
    space = SEARCH_SPACES["resnet"]((1, 8, 8), 10)
    probe, generator = Probe(space, {"training_memory": TrainingMemory()}, {}), random.Random(0)
    most = replace(probe, closed=True).extreme("training_memory", largest=True)
    for architecture in (space.decode(space.draw(generator)) for _ in range(3)):
        exact = probe.measure(architecture)[0]["training_memory"]
        assert exact <= replace(probe, closed=True).measure(architecture)[0]["training_memory"] <= most
