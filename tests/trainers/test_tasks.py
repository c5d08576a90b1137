"""Tasks other than classification: what the network is given, what it is to return, and data sets that pose them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from trainers import Epoch, Samples, Supervised, TrainingData, training_data
from trainers.augment import Mixed
from trainers.datasets.denoise import Denoise, Denoising
from trainers.datasets.digits import Digits
from trainers.datasets.unshuffle import Unshuffle, Unshuffling
from trainers.samples import Streamed
from trainers.task import ImageRegression

TASKS: dict[str, ImageRegression] = {"unshuffle": Unshuffling(), "denoise": Denoising(0.2)}


def numbered(height: int, width: int) -> Tensor:
    """(1, 2, H, W) every pixel its number, the second channel a thousand more."""
    first = torch.arange(float(height * width)).view(height, width)
    return torch.stack([first, first + 1000])[None]


def spoilt(task: ImageRegression, images: Tensor) -> Tensor:
    return task.examples(images, torch.zeros(len(images)), Generator().manual_seed(0))[0]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (4, 6), (1, 10)])
def test_shuffling_moves_every_pixel_to_one_place_the_same_for_all_images_and_channels(height: int, width: int) -> None:
    images = numbered(height, width)
    moved = spoilt(Unshuffling(), torch.cat([images, 2 * images]))
    assert sorted(moved[0, 0].flatten().tolist()) == list(range(height * width))
    assert not torch.equal(moved[0, 0], images[0, 0])
    assert torch.equal(moved[0, 1], moved[0, 0] + 1000)
    assert torch.equal(moved[1], 2 * moved[0])
    assert torch.equal(moved, spoilt(Unshuffling(), torch.cat([images, 2 * images])))
    assert not torch.equal(moved[:1], spoilt(Unshuffling(seed=1), images))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 10)])
def test_within_blocks_no_pixel_leaves_its_block_and_each_block_has_its_own_order(height: int, width: int) -> None:
    number = spoilt(Unshuffling(block=4), numbered(height, width))[0, 0]
    rows, columns = number // width, number % width
    assert torch.equal((rows // 4).long(), (torch.arange(height) // 4)[:, None].expand(height, width))
    assert torch.equal((columns // 4).long(), (torch.arange(width) // 4).expand(height, width))
    first, second = (rows % 4)[:4, :4], (rows % 4)[:4, 4:8]
    assert not torch.equal(first, second)


def test_noise_has_its_deviation_and_is_other_noise_each_time_in_training() -> None:
    images, random = torch.full((50, 3, 8, 8), 0.5), Generator().manual_seed(0)
    one, other = (Denoising(0.2).examples(images, torch.zeros(50), random) for _ in range(2))
    assert torch.equal(one[1], images)
    assert (one[0] - images).std() == pytest.approx(0.2, rel=0.03)
    assert not torch.equal(one[0], other[0])


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_what_is_measured_is_the_same_every_time_in_whatever_slices(task: ImageRegression) -> None:
    images = torch.rand(20, 1, 4, 4)
    inputs, targets = task.measured(images)
    assert targets is images
    whole = inputs[:]
    assert torch.equal(torch.cat([inputs[0:7], inputs[7:20]]), whole)
    assert torch.equal(inputs[torch.tensor([3, 15])], whole[[3, 15]])
    assert len(inputs) == 20
    assert not torch.equal(whole, images)


def test_images_that_stay_in_their_files_are_measured_like_those_in_memory() -> None:
    samples = Digits().load("train", 20)[np.arange(20)]
    images, _ = samples.tensors()
    streamed = Streamed(samples.images, samples.levels, "cpu")  # type: ignore[arg-type]
    assert torch.equal(TASKS["denoise"].measured(streamed)[0][5:9], TASKS["denoise"].measured(images)[0][5:9])


def test_augmentations_change_the_image_first_and_so_input_and_target_alike() -> None:
    seen = list[tuple[Tensor, Tensor]]()

    class Noting(Supervised):
        def learn(self, training: object, batch: Mixed, targets: Tensor) -> None:
            assert batch.share == 1  # the targets are mixed already
            seen.append((batch.images, targets))

    images = np.random.default_rng(0).integers(0, 256, (16, 1, 4, 4), dtype=np.uint8)
    samples = Samples(images, np.arange(16, dtype=np.int64) % 2)
    data = TrainingData(("a", "b"), samples, samples, (0.5,), (0.2,), True, 1, task=Unshuffling())
    Noting(epochs=1, mixup=1.0).train(nn.Conv2d(1, 1, 1), data, seed=0, report=lambda epoch: None)
    ((inputs, targets),) = seen
    assert torch.equal(inputs, spoilt(Unshuffling(), targets))
    plain = torch.from_numpy(images) / 255
    assert not any(torch.equal(target, image) for target in targets for image in plain)  # flipped, shifted, mixed


def test_a_network_learns_to_remove_noise() -> None:
    data, reports = training_data(Denoise(source="digits", sigma=0.3), limit=200, validation=0.2, seed=0), list[Epoch]()
    torch.manual_seed(0)
    model = nn.Conv2d(1, 1, 3, padding=1)
    Supervised(epochs=5, learning_rate=0.05).train(model, data, seed=0, report=reports.append)
    assert reports[-1].loss < 0.5 * reports[0].loss


def test_a_derived_data_set_has_the_samples_and_the_division_of_its_source() -> None:
    plain = training_data(Digits(), limit=100, validation=0.2, seed=3)
    derived = training_data(Unshuffle(source="digits", block=4), limit=100, validation=0.2, seed=3)
    assert derived.task == Unshuffling(block=4)
    assert derived.outputs == derived.input == (1, 8, 8)
    assert plain.outputs == 10
    assert np.array_equal(derived.validation.images, plain.validation.images)
    assert replace(derived, task=plain.task, train=plain.train, validation=plain.validation) == plain


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("digits", {"source": "digits"}),
        ("digits,block=4", {"source": "digits", "block": 4}),
        ("folder:pets,size=8,block=2", {"source": "folder", "location": "pets", "given": {"size": 8}, "block": 2}),
        ("fsdd:speaker=theo", {"source": "fsdd", "given": {"speaker": "theo"}}),
    ],
)  # fmt: skip
def test_the_shorthand_names_the_source_with_its_options_then_the_own_ones(
    text: str, options: dict[str, object]
) -> None:
    assert Unshuffle.shorthand(text) == options


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Unshuffle(source="digts"), r"unknown data set 'digts'\. Did you mean 'digits'\? Known: .*digits"),
        (
            lambda: Unshuffle().load("train"),
            r"unshuffle needs the name of a data set, as in unshuffle:cifar10,block=8\.",
        ),
        (
            lambda: Denoise(source="unshuffle", given={"source": "digits"}),
            "denoise takes a data set for classification",
        ),
        (lambda: Denoise(source="digits", given={"size": 3}), "options of digits: .*'size'"),
        (lambda: Denoise(source="digits", sigma=-1), "sigma must be from 0 to 10, got -1"),
        (lambda: Unshuffle(source="digits", block=-1), "block must be from 0 to 4096, got -1"),
    ],
)
def test_what_cannot_be_derived_is_refused(made: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made()  # type: ignore[operator]
