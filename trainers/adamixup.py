"""Training on mixed images whose weights are learned beside the network (AdaMixUp, 1809.02499)."""

from dataclasses import dataclass
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.augment import Mixed, beside
from trainers.dataset import Dataset
from trainers.supervised import Supervised, Training
from trainers.trainer import trainer


@trainer("adamixup")
@dataclass(frozen=True)
class AdaMixUp(Supervised):
    """Cross-entropy on pairs of images mixed as a policy says, and on the images themselves; twice the time or more.

    A small network, the policy, reads a noisy blend of both images and gives the pair a range of weights: of the image
    itself lambda = a + u w, u drawn for each batch. A linear layer on what the classifier reads learns to tell mixed
    images from others. All learn together, from the sum of the losses, and so the policy learns to mix only where mixed
    images are no likely images (manifold intrusion). Policy and layer are gone after the training.

    Args:
        intrusion: weight of the loss of telling mixed images from others.
        noise: standard deviation of what is added to the blend that the policy reads, in pixel units 0..1.
    """

    intrusion: float = 1.0
    noise: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("intrusion", "noise"):
            if not 0 <= getattr(self, name) <= 1000:
                raise ValueError(f"{name} must be from 0 to 1,000, got {getattr(self, name)}.")
        check_mixes_alone(self, "adamixup")

    @property
    def images_at_a_time(self) -> int:
        return 2 * super().images_at_a_time

    def suited(self, data: Dataset) -> Self:
        check_classes(data, "adamixup")
        return super().suited(data)

    def companion(self, training: Training) -> nn.Module:
        return Companion(training.data.train.images.shape[1], last_linear(training.model).in_features)

    def learn(self, training: Training, batch: Mixed, targets: Tensor) -> None:
        x, generator = batch.images, training.generator
        partner = beside(x, partners(len(x), generator))
        noise = beside(x, torch.randn(x.shape, generator=generator))
        others = x[partner]
        blend = (x + others) / 2 + self.noise * noise
        images = torch.cat([x, others, blend], 1).contiguous(memory_format=torch.channels_last)
        share = float(torch.rand((), generator=generator))
        training.update(Mixed(images, partner, share), targets)

    def loss(
        self, training: Training, images: Tensor, first: Tensor, second: Tensor, share: Tensor | None = None
    ) -> Tensor:
        """For images beside their partners and the blends of both (B, 3 C, H, W); ``share`` is u."""
        x, others, blend = images.chunk(3, 1)
        companion = cast(Companion, training.companion)
        with training.precision():
            own = companion.weights(blend, cast(Tensor, share))  # (B,)
            mixed = torch.lerp(others, x, own[:, None, None, None])
            logits, features = read(training.model, torch.cat([mixed, x]))
            doubted = companion.intrusion(features)[:, 0]
        (of_mixed, of_images), smoothing = logits.float().tensor_split(2), self.label_smoothing

        def entropy(logits: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")

        pairs = own * entropy(of_mixed, first) + (1 - own) * entropy(of_mixed, second)
        loss = (pairs + entropy(of_images, first)).mean() / 2
        is_mixed = torch.cat([torch.ones_like(own), torch.zeros_like(own)])
        return loss + self.intrusion * F.binary_cross_entropy_with_logits(doubted.float(), is_mixed)


class Companion(nn.Module):
    """The policy, and the layer that tells mixed images from others."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.policy = nn.Sequential(
            nn.Conv2d(channels, 16, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.GELU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(32, 3),
        )
        self.intrusion = nn.Linear(features, 1)

    def weights(self, blend: Tensor, u: Tensor) -> Tensor:
        """(B,) a + u w for blends (B, C, H, W); a, w and what is left of 1 are a softmax."""
        start, width, _ = self.policy(blend).float().softmax(1).unbind(1)
        weights: Tensor = start + u * width
        return weights


def partners(number: int, generator: torch.Generator) -> Tensor:
    """A random partner for each of so many images, none its own unless it is alone."""
    order = torch.randperm(number, generator=generator)
    found = torch.empty_like(order)
    found[order] = order.roll(1)
    return found


def last_linear(model: nn.Module, kind: str = "adamixup") -> nn.Linear:
    """The layer that reads the features of a classifier.

    Raises:
        ValueError: if there is no linear layer.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ValueError(f"kind = {kind!r} needs a network that ends with a linear layer. Use kind = 'supervised'.")
    return layers[-1]


def read(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the features (B, F) that the last layer reads."""
    found: list[Tensor] = []
    handle = last_linear(model).register_forward_pre_hook(lambda module, inputs: found.append(inputs[0]))
    try:
        logits = model(images)
    finally:
        handle.remove()
    return logits, found[-1]


def check_mixes_alone(recipe: Supervised, kind: str) -> None:
    """Makes sure that nothing else mixes the images of a training that mixes them itself.

    Raises:
        ValueError: naming the setting to leave out.
    """
    for name in ("mixup", "cutmix", "compile"):
        if getattr(recipe, name):
            raise ValueError(f"{name} does not go with kind = '{kind}', which mixes images itself. Leave it out.")
    if recipe.bce:
        raise ValueError(f"bce does not go with kind = '{kind}', whose loss is cross-entropy. Leave it out.")


def check_classes(data: Dataset, kind: str) -> None:
    """Makes sure that a data set has classes.

    Raises:
        ValueError: if it has none.
    """
    if not data.poses().labelled:
        raise ValueError(f"kind = '{kind}' is for classification, got {data.name}. Use kind = 'supervised'.")
