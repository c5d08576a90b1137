"""Augmentations as batched tensor operations on the device of the batch; no Python per image.

Random numbers come from a generator on the CPU, so that a training sees the same images on every device and can be
continued where it stopped. Rejected: kornia's classes, which draw from the global generator.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self, cast, get_args

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainers.dataset import check_idle, check_most
from trainers.splits import TrainingData

LabelLambda = Literal["tied", "resampled", "fixed"]


@dataclass(frozen=True)
class Augmentation:
    """How the images of a batch are changed at random; its fields are keys of ``[training]``.

    A new one is a function in this file, a field with its check here and a line in `Augmenter`.

    Args:
        flip: mirror images at random; by default as suits the data.
        shift: move images by up to so many pixels at random; by default as suits the data.
        crop: least share of an image's area in a random resized crop; 0 for none.
        erase: side of a rectangle set to the mean of the data, as a share of the image's; 0 for none.
        operations, magnitude: RandAugment: operations for each image, and their strength from 0 to 10.
        stretch: most by which an image is stretched or squeezed along each axis: speed and pitch of a spectrogram.
        level: most that is added to, or taken from, the brightness of an image, which is the volume of a spectrogram.
        mask_mel, mask_frames: SpecAugment: widest band of mel bins and longest stretch of frames set to the mean.
        mixup, cutmix: alpha of the Beta distribution of the weight; 0 for none; with both, each batch has one of them.
        mix_rate: share of the batches that are mixed; the others are left as they are.
        mix_each: mix each image or not, and with a weight, of its own: ``mix_rate`` is then a share of the images.
        mix_sounds: mixup of spectrograms as of the waves of their sounds, before all else but moves: their powers are
            added, by the squares of the weights (see `mixup`).
        mix_until: share of the epochs after which images are no longer mixed (arXiv:2303.08433).
        label_lambda: weight of an image's own label in a mixed target: ``tied`` to that of the image; ``resampled``
            from the same distribution, apart from it; or ``fixed`` at ``label_share`` (the ablation of 2303.08433).
        label_share: that weight.
    """

    flip: bool | None = None
    shift: int | None = None
    crop: float = 0.0
    erase: float = 0.0
    operations: int = 0
    magnitude: float = 5.0
    stretch: float = 0.0
    level: float = 0.0
    mask_mel: int = 0
    mask_frames: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_rate: float = 1.0
    mix_each: bool = False
    mix_sounds: bool = False
    mix_until: float = 1.0
    label_lambda: LabelLambda = "tied"
    label_share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("shift", "operations", "mask_mel", "mask_frames", "mixup", "cutmix"):
            if not 0 <= (getattr(self, name) or 0) < math.inf:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        for name in ("crop", "erase", "stretch", "level"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}.")
        for name in ("mix_rate", "label_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}.")
        if self.label_lambda not in get_args(LabelLambda):
            allowed = ", ".join(get_args(LabelLambda))
            raise ValueError(f"label_lambda must be one of {allowed}, got {self.label_lambda!r}.")
        for name, most in (("mix_until", 1), ("magnitude", 10)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from 0 to {most}, got {getattr(self, name)}.")
        check_most(self, shift=1000, operations=100, mask_mel=10_000, mask_frames=10_000, mixup=1000, cutmix=1000)
        check_idle(self, "magnitude", self.operations, "operations")
        for name in ("mix_rate", "mix_each", "mix_until", "label_lambda"):
            check_idle(self, name, self.mixup or self.cutmix, "mixup or cutmix")
        check_idle(self, "mix_sounds", self.mixup, "mixup")
        if self.mix_sounds and self.cutmix:
            raise ValueError("mix_sounds does not go with cutmix, which cuts images. Leave one of them out.")
        check_idle(self, "label_share", self.label_lambda == "fixed", "label_lambda = 'fixed'")

    def augmenter(self, data: TrainingData, device: torch.device) -> "Augmenter":
        """The augmentation of batches of ``data`` on ``device``; what is unset is as suits the data."""
        return Augmenter(
            settings=self,
            flip=data.flip if self.flip is None else self.flip,
            shift=data.shift if self.shift is None else self.shift,
            levels=data.train.levels,
            decibels=data.decibels if self.mix_sounds else 0.0,
            fill=torch.tensor(data.mean, device=device),
        )


@dataclass(frozen=True)
class Augmenter:
    """`Augmentation` of the batches of one training.

    Args:
        flip, shift: as the settings say, or as suits the data.
        levels: the pixel value that is white.
        fill: (C,) mean of the data.
        decibels: from black to white, of spectrograms that are mixed as sounds; else 0.
    """

    settings: Augmentation
    flip: bool
    shift: int
    levels: int
    fill: Tensor
    decibels: float = 0.0

    def __call__(self, x: Tensor, generator: Generator, *, mix: bool) -> "Mixed":
        """(B, C, H, W) images as they are stored -> floats in [0, 1], channels last; ``mix``: also mixed in pairs."""
        if self.flip:
            x = random_flip(x, generator)
        if self.shift:
            x = random_shift(x, self.shift, generator)
        x = x.float().div_(self.levels)
        sounds = self._mixed(x, generator) if mix and self.decibels else Mixed.alone(x)
        x = self._changed(sounds.images, generator)
        mixed = self._mixed(x, generator) if mix and not self.decibels else replace(sounds, images=x)
        return replace(mixed, images=mixed.images.contiguous(memory_format=torch.channels_last))

    def _changed(self, x: Tensor, generator: Generator) -> Tensor:
        """(B, C, H, W) floats in [0, 1], each changed for itself."""
        s = self.settings
        if s.crop:
            x = random_crop(x, s.crop, generator)
        if s.operations:
            x = random_augment(x, s.operations, s.magnitude, generator)
        if s.stretch:
            x = random_stretch(x, s.stretch, generator)
        if s.level:
            x = random_level(x, s.level, generator)
        if s.mask_mel or s.mask_frames:
            x = mask_spectrogram(x, s.mask_mel, s.mask_frames, self.fill, generator)
        if s.erase:
            x = random_erase(x, s.erase, self.fill, generator)
        return x

    def _mixed(self, x: Tensor, generator: Generator) -> "Mixed":
        """(B, C, H, W) floats in [0, 1], mixed in pairs as often as the settings say."""
        s = self.settings
        number = len(x) if s.mix_each else 1
        chosen = torch.ones(number, dtype=torch.bool)
        if s.mix_rate < 1:
            chosen = torch.rand(number, generator=generator) < s.mix_rate
        if not (s.mixup or s.cutmix) or not chosen.any():
            return Mixed.alone(x)
        with_cutmix = bool(torch.rand((), generator=generator) < 0.5) if s.mixup and s.cutmix else s.cutmix > 0
        alpha = s.cutmix if with_cutmix else s.mixup

        def drawn() -> Tensor:
            return torch.where(chosen, random_shares(alpha, number, generator), 1)

        mixed = cutmix(x, drawn(), generator) if with_cutmix else mixup(x, drawn(), generator, self.decibels)
        if s.label_lambda == "resampled":
            mixed = replace(mixed, share=drawn())
        elif s.label_lambda == "fixed":
            mixed = replace(mixed, share=torch.where(chosen, s.label_share, 1))
        share = cast(Tensor, mixed.share)
        return replace(mixed, share=beside(x, share) if s.mix_each else float(share))


def beside(tensor: Tensor, drawn: Tensor) -> Tensor:
    """``drawn``, which is on the CPU, on the device of ``tensor``; a GPU is not waited for."""
    if tensor.is_cuda:
        return drawn.pin_memory().to(tensor.device, non_blocking=True)
    return drawn


def random_flip(images: Tensor, generator: Generator) -> Tensor:
    """(B, C, H, W) with each image mirrored left to right with probability 1/2."""
    mirrored = beside(images, torch.rand(len(images), generator=generator)) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def random_shift(images: Tensor, pixels: int, generator: Generator) -> Tensor:
    """(B, C, H, W) with each image moved by up to ``pixels`` in both directions; what comes in is zero."""
    batch, _, height, width = images.shape
    offsets = beside(images, torch.randint(2 * pixels + 1, (2, batch, 1), generator=generator))
    rows = offsets[0] + torch.arange(height, device=images.device)
    columns = offsets[1] + torch.arange(width, device=images.device)
    padded = F.pad(images, (pixels,) * 4).permute(0, 2, 3, 1)
    samples = torch.arange(batch, device=images.device)[:, None, None]
    return padded[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_crop(images: Tensor, smallest: float, generator: Generator) -> Tensor:
    """(B, C, H, W) floats: of each image a part of ``smallest`` to 1 of its area, at its old size again.

    Its sides are in a ratio of 3/4 to 4/3 of the image's, as far as the image allows. Source: Szegedy et al. 2015,
    arXiv:1409.4842.
    """
    batch = len(images)
    area, aspect, *place = torch.rand((4, batch), generator=generator)
    area, aspect = smallest + (1 - smallest) * area, (4 / 3) ** (2 * aspect - 1)
    sides = torch.stack([area * aspect, area / aspect]).sqrt().clamp(max=1)
    return _scaled(images, sides, (1 - sides) * (2 * torch.stack(place) - 1), "border")


def _scaled(images: Tensor, sides: Tensor, middle: Tensor, beyond: str) -> Tensor:
    """(B, C, H, W): of each image the part with ``sides`` (2, B), as shares of its own, at its old size.

    Args:
        middle: (2, B) of the part, from -1 to 1 across the image.
        beyond: the outside of the image, ``border`` or ``zeros``.
    """
    matrix = torch.zeros(len(images), 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = sides
    matrix[:, :, 2] = middle.T
    grid = F.affine_grid(beside(images, matrix), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode=beyond, align_corners=False)


def _window(length: int, sizes: Tensor, generator: Generator) -> Tensor:
    """(B, length) booleans: for each of ``sizes`` (B,) a run of so many places somewhere in ``length``."""
    starts = (torch.rand(len(sizes), generator=generator) * (length - sizes + 1)).floor()
    place = torch.arange(length)
    return (place >= starts[:, None]) & (place < (starts + sizes)[:, None])


def random_erase(images: Tensor, side: float, fill: Tensor, generator: Generator) -> Tensor:
    """(B, C, H, W) with a rectangle in each image, ``side`` of its height and width, set to ``fill`` (C,).

    Source: cutout, DeVries & Taylor 2017.
    """
    batch, _, height, width = images.shape
    rows = _window(height, torch.full((batch,), round(side * height)), generator)
    columns = _window(width, torch.full((batch,), round(side * width)), generator)
    hole = beside(images, rows[:, None, :, None] & columns[:, None, None, :])
    return torch.where(hole, fill[:, None, None], images)


def mask_spectrogram(images: Tensor, mel: int, frames: int, fill: Tensor, generator: Generator) -> Tensor:
    """(B, 1, mel, frame) with a band of up to ``mel`` rows and a stretch of up to ``frames`` columns set to ``fill``.

    Source: SpecAugment without warping, Park et al. 2019.
    """
    batch, _, height, width = images.shape
    rows = _window(height, torch.randint(min(mel, height) + 1, (batch,), generator=generator), generator)
    columns = _window(width, torch.randint(min(frames, width) + 1, (batch,), generator=generator), generator)
    hole = beside(images, rows[:, None, :, None] | columns[:, None, None, :])
    return torch.where(hole, fill[:, None, None], images)


def random_stretch(images: Tensor, most: float, generator: Generator) -> Tensor:
    """(B, C, H, W) floats, each stretched or squeezed along both axes by a factor of its own, 1 - most to 1 + most.

    Top and left edge stay where they are; what is missing becomes black. For spectrograms this changes the speed (Ko et
    al. 2015) and the length of the vocal tract (Jaitly & Hinton 2013).
    """
    factors = 1 + most * (2 * torch.rand((2, len(images)), generator=generator) - 1)
    return _scaled(images, 1 / factors, 1 / factors - 1, "zeros")


def random_level(images: Tensor, most: float, generator: Generator) -> Tensor:
    """(B, C, H, W) floats with up to ``most`` added to, or taken from, each image; black stays black, within [0, 1].

    For log-mel spectrograms this is the volume: 0.2 of a range of 100 dB is 20 dB.
    """
    shift = most * beside(images, 2 * torch.rand((len(images), 1, 1, 1), generator=generator) - 1)
    return torch.where(images > 0, (images + shift).clamp(0, 1), images)


@dataclass(frozen=True)
class Mixed:
    """Images blended in pairs.

    Args:
        images: (B, C, H, W).
        partner: (B,) index of the image that each was blended with.
        share: of the image's own label in the target, one for the whole batch or (B,); that of the image itself in the
            blend, unless ``label_lambda`` says otherwise.
    """

    images: Tensor
    partner: Tensor
    share: float | Tensor

    @classmethod
    def alone(cls, images: Tensor) -> Self:
        """Images that are blended with nothing."""
        return cls(images, torch.arange(len(images), device=images.device), 1.0)


def random_share(alpha: float, generator: Generator) -> float:
    """A weight from Beta(alpha, alpha)."""
    return float(random_shares(alpha, 1, generator))


def random_shares(alpha: float, number: int, generator: Generator) -> Tensor:
    """(number,) weights from Beta(alpha, alpha), float32 on the CPU."""
    from scipy.special import betaincinv

    drawn = torch.rand(number, generator=generator, dtype=torch.float64).numpy()
    return torch.from_numpy(betaincinv(alpha, alpha, drawn)).float()


def mixup(images: Tensor, share: Tensor, generator: Generator, decibels: float = 0.0) -> Mixed:
    """Weighted means of pairs of images, by ``share`` (1,) or (B,), on the CPU.

    With ``decibels`` from 0 to 1, images show the power P of sounds, and become that of ``w x1 + (1 - w) x2`` of their
    waves: ``w^2 P1 + (1 - w)^2 P2``. What is missing is the product of both, whose mean is 0. Of 400 pairs of spoken
    digits the result is 1.3 dB (rms) from the spectrogram of the mixed waves; the weighted mean of the decibels is 10
    dB from it, and 6 dB too dark. The waves themselves are not kept: data sets cache what `LogMel` makes of them.

    Source: Zhang et al. 2018, arXiv:1710.09412; of waves, AST, Gong et al. 2021.
    """
    partner = beside(images, torch.randperm(len(images), generator=generator))
    own = beside(images, share)[:, None, None, None]
    if not decibels:
        return Mixed(torch.lerp(images[partner], images, own), partner, share)
    per_unit = decibels / 10 * math.log(10)  # of the natural logarithm of the power
    power = torch.exp((images - 1) * per_unit)
    mixed = own**2 * power + (1 - own) ** 2 * power[partner]
    return Mixed(mixed.log().div(per_unit).add(1).clamp(0, 1), partner, share)


def cutmix(images: Tensor, share: Tensor, generator: Generator) -> Mixed:
    """Images with a rectangle of another one in them, of which ``share`` (1,) or (B,) remains, on the CPU.

    Source: Yun et al. 2019, arXiv:1905.04899.
    """
    partner = beside(images, torch.randperm(len(images), generator=generator))
    height, width = images.shape[2:]
    sides = [torch.round(torch.sqrt(1 - share.double()) * n).long() for n in (height, width)]
    rows, columns = (_window(n, side, generator) for n, side in zip((height, width), sides, strict=True))
    hole = beside(images, rows[:, None, :, None] & columns[:, None, None, :])
    kept = 1 - (sides[0] * sides[1]).float() / (height * width)
    return Mixed(torch.where(hole, images[partner], images), partner, kept)


def random_augment(images: Tensor, operations: int, magnitude: float, generator: Generator) -> Tensor:
    """(B, C, H, W) floats in [0, 1] after so many random operations each, of strength ``magnitude`` in [0, 10].

    Source: RandAugment, Cubuk et al. 2020, arXiv:1909.13719; of its operations those that make sense for any number of
    channels.
    """
    strength = magnitude / 10
    for _ in range(operations):
        kinds = torch.randint(len(MOVES) + len(TONES), (len(images),), generator=generator)
        signs = (torch.randint(2, (len(images),), generator=generator) * 2 - 1) * strength
        images = _move(images, kinds, signs)
        result = images.clone()
        for kind, tone in enumerate(TONES, start=len(MOVES)):
            chosen = torch.nonzero(kinds == kind)[:, 0]
            if len(chosen):
                where = beside(images, chosen)
                amount = beside(images, signs[chosen])[:, None, None, None]
                result[where] = tone(images[where], amount).clamp(0, 1)
        images = result
    return images


MOVES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
"""Geometric operations: up to 30 degrees, 0.3 and a third of the side."""


def _move(images: Tensor, kinds: Tensor, signs: Tensor) -> Tensor:
    """All geometric operations of a batch in one resampling; what comes in is zero."""
    amounts = {name: signs * (kinds == kind) for kind, name in enumerate(MOVES)}
    angle = amounts["rotate"] * math.radians(30)
    matrix = torch.zeros(len(images), 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = angle.cos(), angle.cos()
    matrix[:, 0, 1] = -angle.sin() + 0.3 * amounts["shear_x"]
    matrix[:, 1, 0] = angle.sin() + 0.3 * amounts["shear_y"]
    matrix[:, 0, 2], matrix[:, 1, 2] = 2 / 3 * amounts["translate_x"], 2 / 3 * amounts["translate_y"]
    moved = torch.nonzero(kinds < len(MOVES))[:, 0]
    if len(moved) == 0:
        return images
    where, result = beside(images, moved), images.clone()
    grid = F.affine_grid(beside(images, matrix[moved]), [len(moved), *images.shape[1:]], align_corners=False)
    result[where] = F.grid_sample(images[where], grid, align_corners=False)
    return result


TONES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda x, s: x,
    lambda x, s: x * (1 + 0.9 * s),  # brightness
    lambda x, s: torch.lerp(x.mean((1, 2, 3), keepdim=True).expand_as(x), x, 1 + 0.9 * s),  # contrast
    lambda x, s: torch.lerp(x.mean(1, keepdim=True).expand_as(x), x, 1 + 0.9 * s),  # saturation
    lambda x, s: torch.floor(x * (2 ** (8 - 4 * s.abs())).floor()) / (2 ** (8 - 4 * s.abs())).floor(),  # posterize
    lambda x, s: torch.where(x < 1 - s.abs(), x, 1 - x),  # solarize
    lambda x, s: (x - x.amin((2, 3), keepdim=True)) / (x.amax((2, 3), True) - x.amin((2, 3), True) + 1e-6),  # contrast
    lambda x, s: x + s * (x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)),  # sharpness
)
"""Operations on the values of pixels: (images, signed strength in [-1, 1]) -> images."""
