"""Denoising: images under Gaussian noise, which is to be removed."""

from dataclasses import dataclass

from torch import Tensor

from trainers.augment import beside
from trainers.dataset import check_range, dataset
from trainers.derived import Derived
from trainers.task import Draw, ImageRegression


@dataclass(frozen=True)
class Denoising(ImageRegression):
    """The image from itself with noise, other noise each time in training, the same each time it is measured.

    Args:
        sigma: standard deviation of the noise in pixel units 0..1; what leaves them is not cut off.
    """

    sigma: float = 0.1

    def spoilt(self, images: Tensor, draw: Draw) -> Tensor:
        return images + self.sigma * beside(images, draw(images.shape)).to(images)


@dataset("denoise")
@dataclass(frozen=True)
class Denoise(Derived):
    """The images of another data set with Gaussian noise.

    Args:
        sigma: standard deviation of the noise in pixel units 0..1.
    """

    sigma: float = 0.1

    example = "denoise:cifar10,sigma=0.1"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("sigma", self.sigma, 0, 10)

    def poses(self) -> Denoising:
        return Denoising(self.sigma)
