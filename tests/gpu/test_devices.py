"""What runs on a GPU gives what it gives on a CPU. ``pytest -m gpu`` runs it there; elsewhere its twins on the CPU.

Neither Ray nor Optuna is imported.
"""

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.packing import gpu_share
from nas.testing.operators import build_seeded, variants
from nas.trial import TrialPlan, run_trial
from objectives import OBJECTIVES, Candidate
from objectives.attacks import ATTACKS, make_attack
from objectives.latency import LatencyMs, Throughput
from objectives.robust_accuracy import RobustAccuracy
from searchspaces import SEARCH_SPACES, Architecture, build
from searchspaces.architecture import CHANNEL_MIXERS, TOKEN_MIXERS
from trainers import DATASETS, Epoch, Supervised, Trainer, TrainingData, training_data
from trainers.adamixup import AdaMixUp
from trainers.adversarial import Adversarial
from trainers.automix import AutoMix
from trainers.checkpoints import FolderCheckpoints
from trainers.supervised import Training

SHAPE = (16, 8, 8)
INPUTS = {"asm_rh": (1, 32, 32)}
"""Input shape of the spaces that are not for colour images of 16 x 16 pixels."""
MIXERS: dict[str, Any] = {**TOKEN_MIXERS, **{f"channel {name}": kind for name, kind in CHANNEL_MIXERS.items()}}


@pytest.fixture(
    params=[
        "cpu",
        pytest.param(
            "cuda",
            marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")],
        ),
    ]
)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """A device, with 32-bit floats in earnest."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.backends.cudnn.allow_tf32 = False
        yield str(request.param)


@pytest.fixture(scope="module")
def digits() -> TrainingData:
    return training_data(DATASETS["digits"](), limit=300, validation=0.3, seed=0)


def network(space: str = "convmixer", **picks: Any) -> Architecture:
    found = SEARCH_SPACES[space](INPUTS.get(space, (3, 16, 16)), 10)
    return found.narrow(picks).decode(found.narrow(picks).first)


def plan(digits: TrainingData, device: str, trainer: Trainer, **changes: Any) -> TrialPlan:
    architecture = network_of_digits(digits)
    return replace(
        TrialPlan(
            number=0,
            picks={},
            architecture=architecture.to_json(),
            key=architecture.key,
            seed=1,
            trainer=trainer,
            objectives={"accuracy": OBJECTIVES["accuracy"](), "robust_accuracy": RobustAccuracy(samples=60, steps=3)},
            device=device,
        ),
        **changes,
    )


def far(found: Tensor, expected: Tensor) -> float:
    """Distance relative to what is expected."""
    found, expected = (t.detach().cpu().double() for t in (found, expected))
    return float(torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected))


def last(images: Tensor) -> Tensor:
    """``images`` channels last, as trainings have them."""
    return images.contiguous(memory_format=torch.channels_last)


def outputs(module: nn.Module, x: Tensor, weight: Tensor, precision: torch.dtype = torch.float32) -> list[Tensor]:
    """Output of ``module`` for ``x`` and the gradients of its product with ``weight``, those that are not zero."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    with torch.autocast(x.device.type, precision, enabled=precision == torch.bfloat16):
        y = module(x)
    if y.requires_grad:
        (y.float() if precision == torch.bfloat16 else y).mul(weight).sum().backward()
    found = [y.detach(), x.grad, *(p.grad for p in module.parameters())]
    return [t for t in found if t is not None]


@pytest.mark.parametrize("kind", MIXERS.values(), ids=MIXERS)
def test_an_operator_and_its_gradients_are_those_of_float64(kind: Any, device: str) -> None:
    for spec in variants(kind, SHAPE):
        exact = build_seeded(spec, SHAPE).double()
        x, weight = torch.randn(5, *SHAPE, dtype=torch.float64), torch.randn(5, *SHAPE, dtype=torch.float64)
        expected = outputs(copy.deepcopy(exact), x, weight)
        for dtype, bound in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
            here = copy.deepcopy(exact).to(device, dtype, memory_format=torch.channels_last)
            found = outputs(here, last(x.to(device, dtype)), weight.to(device, dtype))
            worst = max([far(a, b) for a, b in zip(found, expected, strict=True) if b.any()], default=0.0)
            assert worst < bound, (spec, dtype)
        here = copy.deepcopy(exact).to(device, torch.float32, memory_format=torch.channels_last)
        found = outputs(here, last(x.to(device).float()), weight.to(device).float(), torch.bfloat16)
        assert far(found[0], expected[0]) < 2e-2 or not expected[0].any(), spec


@pytest.mark.parametrize("space", SEARCH_SPACES)
def test_a_network_of_every_space_is_the_same_on_it(space: str, device: str) -> None:
    architecture = network(space)
    one, other = build(architecture, seed=3).double().eval(), build(architecture, seed=3).eval().to(device)
    x = torch.rand(4, *architecture.input)
    assert far(other(x.to(device)), one(x.double())) < 1e-4


@pytest.mark.parametrize("space", SEARCH_SPACES)
def test_steps_of_every_space_are_the_same_on_it(space: str, device: str) -> None:
    architecture = network(space)
    losses = {}
    for where in ("cpu", device):
        model = build(architecture, seed=3).to(where)
        training = Training(Supervised(epochs=1, batch_size=8, precision="fp32"), model, images(architecture), 0)
        for _ in training.steps():
            pass
        assert training.graphs is None or not training.graphs.refusal, training.graphs.refusal
        losses[where] = training.end_epoch().loss
    assert losses[device] == pytest.approx(losses["cpu"], rel=2e-3)


def images(architecture: Architecture, number: int = 64) -> TrainingData:
    from trainers.samples import Samples

    generator = np.random.default_rng(0)
    labels = np.arange(number) % architecture.classes
    pixels = generator.integers(0, 256, (number, *architecture.input), dtype=np.uint8)
    samples = Samples(pixels, labels, 255)
    channels = architecture.input[0]
    classes = tuple(str(n) for n in range(architecture.classes))
    return TrainingData(classes, samples, samples, (0.5,) * channels, (0.3,) * channels, True, 1)


TRAININGS: dict[str, dict[str, Any]] = {
    "default": {},
    "bf16": {"precision": "bf16"},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.05},
    "lion": {"optimizer": "lion", "learning_rate": 1e-3, "beta2": 0.99},
    "sam": {"sharpness": 0.05},
    "mixed": {"mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1},
    "decoupled": {"mixup": 0.8, "decoupled": 0.1},
    "labels_apart": {"mixup": 0.8, "label_lambda": "resampled"},
    "augmented": {"crop": 0.5, "operations": 2, "erase": 0.3, "stretch": 0.1, "level": 0.1, "mask_mel": 2},
    "averaged": {"average": 0.99},
    "adamixup": {"trainer": AdaMixUp},
    "automix": {"trainer": AutoMix},
    "micro_batches": {"micro_batches": 2},
}


@pytest.mark.parametrize("settings", TRAININGS.values(), ids=TRAININGS)
def test_a_training_on_it_learns_what_one_on_a_cpu_learns(
    settings: dict[str, Any], digits: TrainingData, device: str
) -> None:
    found, options = [], {"epochs": 3, "batch_size": 32, "precision": "fp32", **settings}
    kind = options.pop("trainer", Supervised)
    for where in ("cpu", device):
        model = build(network_of_digits(digits), seed=0).to(where)
        reports: list[Epoch] = []
        kind(**options).train(model, digits, seed=0, report=reports.append)
        found.append(reports[-1].loss)
    assert found[1] == pytest.approx(found[0], rel=0.02)


def network_of_digits(digits: TrainingData) -> Architecture:
    space = SEARCH_SPACES["convmixer"](digits.input, 10).narrow({"dim": 32, "patch": 1})
    return space.decode(space.first)


class StopError(Exception):
    """Ends a training, as a kill does."""


class Stopping(FolderCheckpoints):
    """Ends the training right after its first checkpoint that is due."""

    def is_due(self) -> bool:
        return True

    def save(self, step: int, tensors: dict[str, Tensor]) -> None:
        super().save(step, tensors)
        if step == 11:
            raise StopError


@pytest.mark.parametrize("settings", [{}, {"average": 0.9}, {"sharpness": 0.05}, {"mixup": 0.8}], ids=str)
def test_a_training_that_was_cut_off_ends_with_the_same_weights(
    settings: dict[str, Any], digits: TrainingData, device: str, tmp_path: Path
) -> None:
    trainer = Supervised(epochs=2, batch_size=32, **settings)

    def trained(checkpoints: FolderCheckpoints | None) -> nn.Module:
        model = build(network_of_digits(digits), seed=0).to(device)
        trainer.train(model, digits, seed=0, report=lambda _: None, checkpoints=checkpoints)
        return model

    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        expected, again = trained(None).state_dict(), trained(None).state_dict()
        assert all(torch.equal(again[name], expected[name]) for name in expected)
        with pytest.raises(StopError):
            trained(Stopping(tmp_path, {}))
        resumed = trained(FolderCheckpoints(tmp_path, {})).state_dict()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in ("autoattack", "transfer")])
def test_an_attack_fools_the_network_as_often(name: str, digits: TrainingData, device: str) -> None:
    model = build(network_of_digits(digits), seed=0)
    Supervised(epochs=6, batch_size=32).train(model, digits, seed=0, report=lambda _: None)
    pixels, labels = digits.validation.tensors("cpu")
    objective = RobustAccuracy(attack=name, epsilon="16/255", samples=60)
    found = []
    for where in ("cpu", device):
        there = copy.deepcopy(model).to(where)
        candidate = Candidate(there, digits.input, pixels[:].to(where), labels.to(where))
        found.append(60 * objective.measure(candidate))
    assert abs(found[0] - found[1]) <= 1 + 1e-9


@dataclass(frozen=True)
class Hoards(Trainer):
    """A trainer that allocates so many bytes."""

    size: int = 0

    def train(self, model: nn.Module, data: Any, *, seed: int, report: Any, checkpoints: Any = None) -> None:
        torch.empty(self.size, dtype=torch.uint8, device=next(model.parameters()).device)


def test_a_trial_records_its_values_and_its_weights_can_be_loaded(digits: TrainingData, device: str) -> None:
    outcome = run_trial(plan(digits, device, Supervised(epochs=12, batch_size=32), gpu_share=0.25), digits)
    assert outcome.record.graphs == (None if device == "cpu" else "captured")
    assert outcome.record.status == "complete", outcome.record.error
    assert 0.3 < outcome.record.measured["accuracy"] <= 1
    assert outcome.weights


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_trial_gets_its_share_of_the_memory_and_no_more(digits: TrainingData) -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    for share, expected in ((0.15, None), (0.35, "out_of_memory")):
        record = run_trial(plan(digits, "cuda", Hoards(size=int(share * total)), gpu_share=0.25), digits).record
        assert record.failure == expected, record.error


@pytest.mark.parametrize("space", SEARCH_SPACES)
def test_a_trial_gets_by_with_the_share_that_is_predicted(space: str, device: str) -> None:
    found = SEARCH_SPACES[space](INPUTS.get(space, (3, 16, 16)), 10)
    generator, memory = random.Random(0), 16 * 10**9
    for number in range(1 if device == "cpu" else 6):
        architecture = found.decode(found.first if device == "cpu" else found.draw(generator))
        data = images(architecture, 20 if device == "cpu" else 400)
        asked = TrialPlan(
            number=number,
            picks={},
            architecture=architecture.to_json(),
            key=architecture.key,
            seed=number,
            trainer=Supervised(epochs=1, batch_size=(16, 64, 256)[number % 3]),
            objectives={
                "accuracy": OBJECTIVES["accuracy"](),
                "robust_accuracy": RobustAccuracy(samples=10, steps=2, sanity=False),
            },
            device=device,
        )
        share = gpu_share(asked, data, memory)
        if device == "cuda":
            torch.cuda.empty_cache()
            share *= memory / torch.cuda.get_device_properties(0).total_memory
        record = run_trial(replace(asked, gpu_share=share), data).record
        assert record.status == "complete", record.error


def test_an_epoch_waits_for_the_device_once(digits: TrainingData, device: str) -> None:
    if device == "cpu":
        pytest.skip("a CPU is not waited for")
    model = build(network_of_digits(digits), seed=0).to(device)
    training = Training(Supervised(epochs=2, batch_size=32), model, digits, 0)
    for _ in training.steps():
        pass
    training.end_epoch()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in training.steps():
            pass
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert training.graphs is not None
    assert not training.graphs.refusal
    training.end_epoch()


def test_a_training_without_graphs_ends_with_the_same_weights(digits: TrainingData, device: str) -> None:
    found = []
    for graphs in (True, False):
        model = build(network_of_digits(digits), seed=0).to(device)
        settings = Supervised(epochs=2, batch_size=32, graphs=graphs)
        settings.train(model, digits, seed=0, report=lambda _: None)
        found.append(torch.cat([p.detach().cpu().flatten() for p in model.parameters()]))
    assert far(found[0], found[1]) < (1e-9 if device == "cpu" else 1e-2)


@pytest.mark.parametrize(
    "settings", [{"steps": 2}, {"steps": 2, "norm": "l2"}, {"attack": "square"}, {"free": 3}], ids=str
)
def test_an_adversarial_training_learns_what_one_on_a_cpu_learns(
    settings: dict[str, Any], digits: TrainingData, device: str
) -> None:
    chosen = dict(settings)
    options = {"norm": chosen.pop("norm")} if "norm" in chosen else {}
    options |= {"queries": 3} if settings.get("attack") == "square" else {}
    found = []
    for where in ("cpu", device):
        model = build(network_of_digits(digits), seed=0).to(where)
        reports: list[Epoch] = []
        trainer = Adversarial(
            epochs=1, batch_size=32, precision="fp32", epsilon="8/255", options=options, attacks=make_attack, **chosen
        )
        trainer.train(model, digits, seed=0, report=reports.append)
        found.append(reports[-1].loss)
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_an_attack_on_training_images_is_captured(digits: TrainingData, device: str) -> None:
    if device == "cpu":
        pytest.skip("a CPU captures nothing")
    model = build(network_of_digits(digits), seed=0).to(device)
    trainer = Adversarial(epochs=2, batch_size=32, epsilon="8/255", steps=3, attacks=make_attack)
    training = Training(trainer, model, digits, 0)
    for _ in range(2):
        for _ in training.steps():
            pass
        training.end_epoch()
    assert training.graphs is not None
    assert not training.graphs.refusal
    assert training.graphs.captured == {"attack", "update"}


@pytest.mark.parametrize("kind", [LatencyMs, Throughput])
def test_a_network_is_timed(kind: Any, digits: TrainingData, device: str) -> None:
    model = build(network_of_digits(digits), seed=0).to(device).eval()
    pixels, labels = digits.validation.tensors("cpu")
    candidate = Candidate(model, digits.input, pixels[:].to(device), labels.to(device))
    objective = kind(batch=4, seconds=0.1)
    found = objective.measure(candidate)
    assert found > 0
    assert objective.settings(candidate)["device"]
