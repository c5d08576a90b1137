"""Errors of images, by hand."""

import pytest
import torch
from torch import Tensor, nn

from nas.testing.objectives import candidate
from objectives import OBJECTIVES, Candidate
from objectives.accuracy import Accuracy
from objectives.regression import R2, Mae, Mse, Psnr


def returned(outputs: list[list[float]], targets: list[list[float]]) -> Candidate:
    """A network that returns ``outputs``, images of 1 x 2 pixels, for which ``targets`` are right."""
    images = torch.tensor(outputs).view(-1, 1, 1, 2)
    return Candidate(nn.Identity(), (1, 1, 2), images, targets=torch.tensor(targets).view(-1, 1, 1, 2))


def test_errors_by_hand() -> None:
    one = returned([[0.5, 0.5], [0.5, 1.5]], [[0.5, 0.6], [0.5, 0.5]])  # errors 0, 0.01, 0, 1
    assert Mse().measure(one) == pytest.approx(1.01 / 4)
    # Cut off at 1, the second image errs by 0.25: mean squared errors 0.005 and 0.125.
    assert Psnr().measure(one) == pytest.approx((23.0103 + 9.0309) / 2, abs=1e-4)


def test_absolute_errors_by_hand() -> None:
    one = returned([[0.5, 0.5], [0.5, 1.5]], [[0.5, 0.6], [0.5, 0.5]])  # errors 0, 0.1, 0, 1
    assert Mae().measure(one) == pytest.approx(1.1 / 4)
    assert Mae().measure(returned([[0.5, -3.0]], [[0.5, -3.0]])) == pytest.approx(1e-12)


def test_the_mean_image_explains_nothing_and_the_image_itself_everything() -> None:
    targets = [[0.0, 0.2], [1.0, 0.4]]
    assert R2().measure(returned([[0.5, 0.3]] * 2, targets)) == pytest.approx(0, abs=1e-6)
    assert R2().measure(returned(targets, targets)) == 1
    assert R2().measure(returned([[0.25, 0.25], [0.75, 0.35]], targets)) == pytest.approx(0.75)  # half way
    assert R2().measure(returned([[5.0, 5.0]] * 2, targets)) == 0


def test_perfect_and_worst_outputs_are_still_counts() -> None:
    assert Mse().measure(returned([[0.5, 0.5]], [[0.5, 0.5]])) == pytest.approx(1e-12)
    assert Psnr().measure(returned([[0.5, 0.5]], [[0.5, 0.5]])) == pytest.approx(120)
    assert 0 < Psnr().measure(returned([[0.0, 0.0]], [[1.0, 1.0]])) < 1e-6


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if kind.task])
def test_an_objective_of_one_task_refuses_candidates_of_another(name: str) -> None:
    kind = OBJECTIVES[name]
    classifies = kind.task == "classification"
    other, wanted = candidate(Mse if classifies else Accuracy), "classification" if classifies else "values"
    with pytest.raises(ValueError, match=f"this objective is for {wanted}, but the data have"):
        kind().measure(other)


def test_images_are_read_in_parts() -> None:
    class Read:
        def __init__(self, images: Tensor) -> None:
            self.images, self.most = images, 0

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, part: slice | Tensor) -> Tensor:
            self.most = max(self.most, len(self.images[part]))
            return self.images[part]

    images = Read(torch.rand(1100, 1, 1, 2))
    assert R2().measure(Candidate(nn.Identity(), (1, 1, 2), images, targets=images)) == 1
    assert images.most <= 500
