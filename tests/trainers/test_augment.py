"""Augmentations: what may happen to an image, and that a seed decides it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers.audio import FLOOR_DB, LogMel
from trainers.augment import (
    Augmentation,
    Augmenter,
    mixup,
    random_crop,
    random_flip,
    random_level,
    random_shift,
    random_stretch,
)

Augment = Callable[[Tensor, torch.Generator], Tensor]
AUGMENTATIONS: dict[str, Augment] = {"flip": random_flip, "shift": lambda x, generator: random_shift(x, 2, generator)}
every_augmentation = pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def copies(number: int, *shape: int) -> Tensor:
    """One image with pixels 1, 2, 3, ... so many times."""
    return (1 + torch.arange(torch.Size(shape).numel())).view(1, *shape).repeat(number, 1, 1, 1)


@every_augmentation
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_shape_and_dtype_are_kept(augment: Augment, dtype: torch.dtype) -> None:
    x = copies(7, 3, 5, 6).to(dtype)
    y = augment(x, seeded())
    assert y.shape == x.shape
    assert y.dtype == dtype


@every_augmentation
def test_the_generator_decides(augment: Augment) -> None:
    x = copies(50, 1, 4, 6)
    one, same, other = (augment(x, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@every_augmentation
def test_the_global_random_state_and_the_images_are_left_alone(augment: Augment) -> None:
    x, state = copies(50, 1, 4, 6), torch.get_rng_state()
    augment(x, seeded())
    assert torch.equal(x, copies(50, 1, 4, 6))
    assert torch.equal(torch.get_rng_state(), state)


@every_augmentation
def test_images_are_changed_independently(augment: Augment) -> None:
    assert len(torch.unique(augment(copies(200, 1, 4, 6), seeded()), dim=0)) > 1


def test_flip_gives_the_image_or_its_mirror_image_each_about_half_the_time() -> None:
    x = torch.tensor([[1, 2, 3], [4, 5, 6]]).view(1, 1, 2, 3).repeat(400, 1, 1, 1)
    mirror = torch.tensor([[3, 2, 1], [6, 5, 4]])
    y = random_flip(x, seeded())
    mirrored = (y == mirror).flatten(1).all(1)
    assert (mirrored | (y == x).flatten(1).all(1)).all()
    assert 160 < mirrored.sum() < 240


def test_shift_moves_the_image_and_fills_with_zeros() -> None:
    x = copies(2000, 2, 5, 4)
    y = random_shift(x, 2, seeded())
    moves = set()
    for image in torch.unique(y, dim=0):
        expected = []
        for down in range(-2, 3):
            for right in range(-2, 3):
                moved = torch.zeros_like(x[0])
                rows, columns = slice(max(down, 0), 5 + min(down, 0)), slice(max(right, 0), 4 + min(right, 0))
                came = slice(max(-down, 0), 5 - max(down, 0)), slice(max(-right, 0), 4 - max(right, 0))
                moved[:, rows, columns] = x[0][:, came[0], came[1]]
                if torch.equal(image, moved):
                    expected.append((down, right))
        assert len(expected) == 1
        moves.update(expected)
    assert len(moves) == 25  # every move up to two pixels occurs


def test_a_shift_of_nothing_changes_nothing() -> None:
    x = copies(5, 3, 4, 4)
    assert torch.equal(random_shift(x, 0, seeded()), x)


def test_a_crop_is_a_part_of_the_image_at_its_old_size() -> None:
    ramp = torch.linspace(0, 1, 32)
    x = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32)]).expand(400, 2, 32, 32).contiguous()
    y = random_crop(x, 0.25, seeded())
    assert y.shape == x.shape
    assert torch.equal(y, random_crop(x, 0.25, seeded()))
    steps = 31 * torch.stack([y[:, 0, 16, 20] - y[:, 0, 16, 12], y[:, 1, 20, 16] - y[:, 1, 12, 16]]) / 8
    area = steps.prod(0)  # of a ramp, each step is the share of the side
    assert 0.25 - 1e-4 <= area.min() < 0.3
    assert 0.9 < area.max() <= 1 + 1e-4
    ratio = steps[0] / steps[1]
    assert 0.75 - 1e-3 <= ratio.min() < 0.8
    assert 1.25 < ratio.max() <= 4 / 3 + 1e-3
    assert y[:, 0].amin((1, 2)).max() > 0.3  # some parts are far from the left edge, some from the right
    assert y[:, 0].amax((1, 2)).min() < 0.7


def test_a_level_is_added_to_all_but_black() -> None:
    x = torch.tensor([0.0, 0.1, 0.5, 0.9]).view(1, 1, 2, 2).repeat(500, 1, 1, 1)
    y = random_level(x, 0.3, seeded())
    assert torch.equal(y, random_level(x, 0.3, seeded()))
    added = y[:, 0, 1, 0] - 0.5
    assert -0.3 <= added.min() < -0.28
    assert 0.28 < added.max() <= 0.3
    assert (y[:, 0, 0, 0] == 0).all()
    assert torch.allclose(y[:, 0, 0, 1], (0.1 + added).clamp(0, 1))
    assert torch.allclose(y[:, 0, 1, 1], (0.9 + added).clamp(0, 1))


def test_a_stretch_moves_all_but_the_corner() -> None:
    ramp = torch.linspace(1, 2, 32)
    x = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32)]).expand(400, 2, 32, 32).contiguous()
    y = random_stretch(x, 0.25, seeded())
    assert torch.equal(y, random_stretch(x, 0.25, seeded()))
    factors = (1 / 31) / torch.stack([y[:, 0, 16, 12] - y[:, 0, 16, 11], y[:, 1, 12, 16] - y[:, 1, 11, 16]])
    for factor in factors:
        assert 0.75 - 1e-3 <= factor.min() < 0.78
        assert 1.22 < factor.max() <= 1.25 + 1e-3
    assert (y[:, 0, 0, 0] - 1).abs().max() < 0.35  # half a pixel from the corner, where black begins
    squeezed = factors[0] < 0.9
    assert (y[squeezed, 0, 16, -1] == 0).all()


def test_as_many_batches_are_mixed_as_the_rate_says() -> None:
    settings = Augmentation(mixup=10.0, mix_rate=0.6)
    augment = Augmenter(settings, flip=False, shift=0, levels=255, fill=torch.zeros(1))
    generator, images = seeded(), copies(4, 1, 2, 2).byte()
    shares = torch.tensor([augment(images, generator, mix=True).share for _ in range(500)])
    assert (shares < 1).float().mean() == pytest.approx(0.6, abs=0.06)
    assert shares[shares < 1].mean() == pytest.approx(0.5, abs=0.02)  # Beta(10, 10)


def test_the_share_of_the_label_may_stand_apart_from_that_of_the_image() -> None:
    images = torch.rand(8, 1, 2, 2)

    def mixed(**settings: Any) -> tuple[Tensor, list[float]]:
        """The images of the first batch, and the shares of many."""
        augment = Augmenter(Augmentation(mixup=10.0, **settings), flip=False, shift=0, levels=1, fill=torch.zeros(1))
        generator = seeded()
        batches = [augment(images.clone(), generator, mix=True) for _ in range(200)]
        return batches[0].images, [batch.share for batch in batches]

    tied, own = mixed()
    for settings, mean, spread in (
        ({"label_lambda": "fixed", "label_share": 0.7}, 0.7, 0.0),
        ({"label_lambda": "resampled"}, 0.5, (1 / 84) ** 0.5),  # Beta(10, 10)
    ):
        blended, shares = mixed(**settings)
        assert torch.equal(blended, tied)
        assert shares[0] != own[0]
        assert torch.tensor(shares).mean() == pytest.approx(mean, abs=0.03)
        assert torch.tensor(shares).std() == pytest.approx(spread, abs=0.02)


@pytest.mark.parametrize("label", [{}, {"label_lambda": "resampled"}, {"label_lambda": "fixed"}], ids=str)
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_each_image_may_be_mixed_or_not_with_a_weight_of_its_own(kind: str, label: dict[str, Any]) -> None:
    settings = Augmentation(**{kind: 10.0}, mix_rate=0.6, mix_each=True, **label)
    augment = Augmenter(settings, flip=False, shift=0, levels=1, fill=torch.zeros(1))
    images = torch.rand(1000, 1, 8, 8)
    batch = augment(images.clone(), seeded(), mix=True)
    assert isinstance(batch.share, Tensor)
    mixed = batch.share < 1
    assert mixed.float().mean() == pytest.approx(0.6, abs=0.05)
    assert torch.equal(batch.images[~mixed], images[~mixed])
    assert (batch.images[mixed] != images[mixed]).flatten(1).any(1).float().mean() > 0.95
    weights = len(batch.share[mixed].unique())
    assert weights == 1 if label.get("label_lambda") == "fixed" else weights > 3


def test_the_weight_of_an_image_is_that_of_its_label() -> None:
    images = torch.rand(50, 1, 3, 3)
    augment = Augmenter(Augmentation(mixup=1.0, mix_each=True), flip=False, shift=0, levels=1, fill=torch.zeros(1))
    batch = augment(images.clone(), seeded(), mix=True)
    assert isinstance(batch.share, Tensor)
    own = batch.share[:, None, None, None]
    torch.testing.assert_close(batch.images, own * images + (1 - own) * images[batch.partner])


def test_spectrograms_of_sounds_are_mixed_as_their_waves_are() -> None:
    front_end = LogMel(8000, 32, 32)
    time = np.arange(front_end.samples) / front_end.rate
    low, high = ((0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32) for hertz in (440, 2600))
    images = torch.from_numpy(front_end([low, high]))
    share = torch.tensor([0.3, 0.8])
    generator = next(g for seed in range(9) if mixup(images, share, g := seeded(seed)).partner.tolist() == [1, 0])
    found = mixup(images, share, generator.manual_seed(generator.initial_seed()), -FLOOR_DB).images
    expected = front_end([0.3 * low + 0.7 * high, 0.2 * low + 0.8 * high])
    # In the bands of the tones; between them are the windows' skirts, where both are weak and add up as they may.
    loud = expected > 0.5
    assert loud.sum() > 100
    assert np.abs(found.numpy() - expected)[loud].max() < 0.01  # 1 dB


def test_sounds_are_mixed_before_they_are_masked() -> None:
    settings = Augmentation(mixup=10.0, mix_sounds=True, mask_mel=4)
    augment = Augmenter(settings, flip=False, shift=0, levels=1, fill=torch.full((1,), 0.123), decibels=100.0)
    batch = augment(torch.rand(50, 1, 8, 8), seeded(), mix=True)
    assert (batch.images == 0.123).all(3).any(2).float().mean() > 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mix_each": True}, "mix_each = True does nothing without mixup or cutmix"),
        ({"mix_sounds": True}, "mix_sounds = True does nothing without mixup"),
        ({"mix_sounds": True, "mixup": 1.0, "cutmix": 1.0}, "mix_sounds does not go with cutmix"),
    ],
)
def test_settings_of_mixing_that_do_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**settings)
