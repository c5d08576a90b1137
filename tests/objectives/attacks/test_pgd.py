"""Our attacks against foolbox's, and the properties that any L-infinity attack has."""

import foolbox
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from objectives.attacks import radius
from objectives.attacks.fgsm import Fgsm
from objectives.attacks.pgd import Pgd, climb

RADII = (1 / 255, 8 / 255, 0.1)


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int = 10,
    step_size: float | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """PGD as it is registered, or with steps of another length."""
    if step_size is None:
        return Pgd(epsilon, steps=steps).perturb(model, images, labels, start)
    return climb(Pgd(epsilon), model, images, labels, steps=steps, step_size=step_size, start=start)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """A small convolutional network with random weights, as it stands while it is attacked."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.GELU(),
        nn.Conv2d(16, 16, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 9, 5),
    )
    return layers.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Random images, black and white pixels among them."""
    generator = torch.Generator().manual_seed(1)
    return (1.4 * torch.rand(60, 3, 8, 8, generator=generator) - 0.2).clamp(0, 1)


@pytest.fixture(scope="module")
def labels(model: nn.Module, images: Tensor) -> Tensor:
    """What the model says of the clean images: its accuracy is 1."""
    return model(images).argmax(1)


def robust_accuracy(model: nn.Module, attacked: Tensor, labels: Tensor) -> float:
    return float((model(attacked).argmax(1) == labels).double().mean())


@pytest.mark.parametrize("epsilon", RADII)
def test_fgsm_is_that_of_foolbox(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> None:
    attack = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    _, expected, fooled = attack(foolbox.PyTorchModel(model, bounds=(0, 1)), images, labels, epsilons=epsilon)
    attacked = Fgsm(epsilon).perturb(model, images, labels)
    assert torch.equal(attacked, pgd(model, images, labels, epsilon=epsilon, steps=1))
    assert (attacked - expected).abs().max() < 1e-6
    assert robust_accuracy(model, attacked, labels) == float((~fooled).double().mean())


@pytest.mark.parametrize("steps", [2, 10])
@pytest.mark.parametrize("epsilon", RADII)
def test_pgd_is_that_of_foolbox(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, steps: int) -> None:
    attack = foolbox.attacks.LinfProjectedGradientDescentAttack(
        rel_stepsize=2.5 / steps, steps=steps, random_start=False
    )
    _, expected, fooled = attack(foolbox.PyTorchModel(model, bounds=(0, 1)), images, labels, epsilons=epsilon)
    attacked = pgd(model, images, labels, epsilon=epsilon, steps=steps)
    assert (attacked - expected).abs().max() < 1e-6
    assert robust_accuracy(model, attacked, labels) == float((~fooled).double().mean())


LENGTHS = (0.25, 0.5, 1.0)


@pytest.mark.parametrize("epsilon", LENGTHS)
def test_with_euclidean_balls_they_are_those_of_foolbox_too(
    model: nn.Module, images: Tensor, labels: Tensor, epsilon: float
) -> None:
    judge = foolbox.PyTorchModel(model, bounds=(0, 1))
    one = foolbox.attacks.L2FastGradientAttack(random_start=False)
    ten = foolbox.attacks.L2ProjectedGradientDescentAttack(rel_stepsize=0.25, steps=10, random_start=False)
    for theirs, ours in ((one, Fgsm(epsilon, norm="l2")), (ten, Pgd(epsilon, norm="l2"))):
        _, expected, fooled = theirs(judge, images, labels, epsilons=epsilon)
        attacked = ours.perturb(model, images, labels)
        assert (attacked - expected).abs().max() < 1e-5
        assert robust_accuracy(model, attacked, labels) == float((~fooled).double().mean())


def test_the_comparison_is_not_empty(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    survivors = [robust_accuracy(model, pgd(model, images, labels, epsilon=e), labels) for e in (0, *RADII)]
    assert survivors == sorted(survivors, reverse=True)
    assert survivors[0] == 1
    assert 0 < survivors[2] < 1


def test_one_step_on_a_linear_model_goes_against_the_sign_of_its_weights() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False)).requires_grad_(False)
    model[1].weight.copy_(torch.tensor([[1.0, -2.0, 0.5, -0.1], [0.0, 0.0, 0.0, 0.0]]))
    image = torch.tensor([0.5, 0.5, 0.02, 0.98]).view(1, 1, 2, 2)
    attacked = pgd(model, image, torch.tensor([0]), epsilon=0.1, steps=1)
    torch.testing.assert_close(attacked.flatten(), torch.tensor([0.4, 0.6, 0.0, 1.0]))


def test_one_step_changes_every_pixel_by_the_radius(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    inside = 0.2 + 0.6 * images
    change = (pgd(model, inside, labels, epsilon=0.1, steps=1) - inside).abs()
    torch.testing.assert_close(change, torch.full_like(change, 0.1))


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_the_last_step_counts(model: nn.Module, images: Tensor, labels: Tensor, steps: int) -> None:
    def attacked(number: int) -> Tensor:
        return pgd(model, images, labels, epsilon=0.1, steps=number, step_size=0.004)

    assert not torch.equal(attacked(steps), attacked(steps + 1))
    assert (attacked(steps) - images).abs().max() <= 0.004 * steps + 1e-6


def test_the_default_step_is_two_and_a_half_radii_over_the_steps(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    attacked = pgd(model, images, labels, epsilon=0.04, steps=10)
    assert torch.equal(attacked, pgd(model, images, labels, epsilon=0.04, steps=10, step_size=0.01))
    assert not torch.equal(attacked, pgd(model, images, labels, epsilon=0.04, steps=10, step_size=0.02))


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("epsilon", [0.0, *RADII, 1.0])
def test_images_stay_in_the_ball_and_in_the_pixel_range(
    model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, steps: int, started: bool
) -> None:
    noise = 2 * torch.rand(images.shape, generator=torch.Generator().manual_seed(2)) - 1
    start = noise * epsilon if started else None
    attacked = pgd(model, images, labels, epsilon=epsilon, steps=steps, start=start)
    assert attacked.shape == images.shape
    assert not attacked.requires_grad
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert (attacked - images).abs().max() <= epsilon + 1e-6


def test_the_loss_rises(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    def loss(x: Tensor) -> Tensor:
        return F.cross_entropy(model(x), labels, reduction="none")

    one, ten = (pgd(model, images, labels, epsilon=8 / 255, steps=steps) for steps in (1, 10))
    assert (loss(one) > loss(images)).all()
    assert loss(ten).mean() >= loss(one).mean()


@pytest.mark.parametrize("steps", [1, 5])
def test_an_attack_does_not_depend_on_the_batch_size(
    model: nn.Module, images: Tensor, labels: Tensor, steps: int
) -> None:
    whole = pgd(model, images, labels, epsilon=8 / 255, steps=steps)
    parts = [
        pgd(model, images[i : i + size], labels[i : i + size], epsilon=8 / 255, steps=steps)
        for i, size in ((0, 1), (1, 7), (8, 52))
    ]
    assert (whole - torch.cat(parts)).abs().max() < 1e-6


def test_images_and_their_order_are_left_alone(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    before = images.clone()
    attacked = pgd(model, images, labels, epsilon=0.1)
    assert torch.equal(images, before)
    backwards = pgd(model, images.flip(0), labels.flip(0), epsilon=0.1)
    assert (attacked - backwards.flip(0)).abs().max() < 1e-6


def test_another_start_gives_another_attack(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    start = torch.full_like(images, 0.05)
    attacked = [pgd(model, images, labels, epsilon=0.1, steps=2, start=s) for s in (None, 0 * start, start)]
    assert torch.equal(attacked[0], attacked[1])
    assert not torch.equal(attacked[0], attacked[2])


def test_the_weights_get_no_gradient(images: Tensor) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    pgd(model, images, torch.zeros(60, dtype=torch.int64), epsilon=0.1, steps=2)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0.0),
        (1, 1.0),
        (0.03, 0.03),
        ("0.03", 0.03),
        ("8/255", 8 / 255),
        ("0.5/255", 0.5 / 255),
        (" 4 / 255 ", 4 / 255),
    ],
)
def test_a_radius_is_a_number_or_a_quotient(value: float | str, number: float) -> None:
    assert radius(value) == number


@pytest.mark.parametrize(
    "value", [8, -0.1, "8", "8/0", "1/", "-1/255", "a", "", "/255", "1/2/3", "nan", float("inf"), "8:255"]
)
def test_a_wrong_radius_is_answered_with_an_example(value: float | str) -> None:
    with pytest.raises(ValueError, match=r'epsilon must be a number in \[0, 1\] or a quotient such as "8/255", got '):
        radius(value)
