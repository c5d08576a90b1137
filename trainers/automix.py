"""Training on images mixed by masks that a generator learns against the classifier (adversarial AutoMixup, 2312.11954).

The generator learns through a teacher: the network with weights that this does not train, their moving average if
``average`` is set (published: 0.999, rising to ``average_end`` 0.999999), else those of the moment. Published are masks
from features of the teacher, and mixtures of three images; here the generator has features of its own, so that any
classifier will do, and mixes pairs.
"""

from dataclasses import dataclass
from typing import Literal, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from trainers.adamixup import check_classes, check_mixes_alone, last_linear, partners
from trainers.augment import Mixed, beside, random_share
from trainers.dataset import Dataset
from trainers.supervised import Supervised, Training
from trainers.trainer import trainer


@trainer("automix")
@dataclass(frozen=True)
class AutoMix(Supervised):
    """Cross-entropy on images and on pairs of them, mixed pixel by pixel by a generator; three times the time or more.

    The generator takes turns. In one it makes mixtures that the teacher reads rightly, in the other such that it does
    not, by ``-beta CE - (1 - beta) cosine``; the cosine is that of the teacher's features of mixture and images. The
    means of its masks are the drawn weights. It is gone after the training.

    Args:
        alpha: of the Beta distribution of the weight of an image.
        beta: weight of the cross-entropy in adversarial turns.
        cosine: ``toward``: as above, mixtures stay near their images, as the paper argues; ``away``: ``+ (1 - beta)
            cosine``, what its code minimises.
        margin: by which the mean of a mask may miss the weight.
    """

    alpha: float = 1.0
    beta: float = 0.3
    cosine: Literal["toward", "away"] = "toward"
    margin: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.alpha <= 1000:
            raise ValueError(f"alpha must be above 0 and at most 1,000, got {self.alpha}.")
        for name in ("beta", "margin"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}.")
        if self.cosine not in ("toward", "away"):
            raise ValueError(f"cosine must be toward or away, got {self.cosine!r}.")
        check_mixes_alone(self, "automix")

    @property
    def images_at_a_time(self) -> int:
        return 5 * super().images_at_a_time

    def suited(self, data: Dataset) -> Self:
        check_classes(data, "automix")
        return super().suited(data)

    def companion(self, training: Training) -> nn.Module:
        last_linear(training.model, "automix")
        return Masks(training.data.train.images.shape[1])

    def learn(self, training: Training, batch: Mixed, targets: Tensor) -> None:
        x, generator = batch.images, training.generator
        partner = beside(x, partners(len(x), generator))
        images = torch.cat([x, x[partner]], 1).contiguous(memory_format=torch.channels_last)
        share = min(max(random_share(self.alpha, generator), 0.01), 0.99)
        # The sign says whose turn it is: all that a captured step depends on comes in as tensors.
        training.update(Mixed(images, partner, -share if training.step % 2 else share), targets)

    def loss(
        self, training: Training, images: Tensor, first: Tensor, second: Tensor, share: Tensor | None = None
    ) -> Tensor:
        """For images beside their partners (B, 2 C, H, W); ``share`` is negative in adversarial turns."""
        turn = cast(Tensor, share)
        adversarial, own, smoothing = turn < 0, turn.abs(), self.label_smoothing
        x, others = images.chunk(2, 1)

        def entropy(logits: Tensor) -> Tensor:
            """Of mixtures."""
            of_first, of_second = (F.cross_entropy(logits, y, label_smoothing=smoothing) for y in (first, second))
            return torch.lerp(of_second, of_first, own)

        with training.precision():
            mask = cast(Masks, training.companion)(x, others, own)  # (B, 1, H, W)
            mixed = torch.lerp(others, x, mask)
            of_mixed, of_images = training.model(torch.cat([mixed.detach(), x])).float().tensor_split(2)
            averaged = training.averaged
            teacher = training.model if averaged is None else averaged.module
            read, features = taught(teacher, torch.cat([mixed, x, others]))
        f_mixed, f_x, f_others = features.float().tensor_split(3)
        cosine = own * F.cosine_similarity(f_mixed, f_x) + (1 - own) * F.cosine_similarity(f_mixed, f_others)
        helped, sign = entropy(read.float().tensor_split(3)[0]), -1 if self.cosine == "toward" else 1
        against = -self.beta * helped + sign * (1 - self.beta) * cosine.mean()
        missed = (mask.mean((1, 2, 3)) - own).abs() - self.margin
        learned = torch.where(adversarial, against, helped) + missed.relu().mean()
        loss = (entropy(of_mixed) + F.cross_entropy(of_images, first, label_smoothing=smoothing)) / 2
        total: Tensor = loss + learned - learned.detach()  # what is reported is the classifier's
        return total


class Masks(nn.Module):
    """The generator: weights (B, 1, H, W) of images (B, C, H, W) beside those of their partners."""

    def __init__(self, channels: int, width: int = 32) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, width // 2, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
            nn.GELU(),
        )
        self.query, self.key = (nn.Conv2d(width + 1, width // 2, 1) for _ in range(2))
        self.value = nn.Conv2d(width + 1, 1, 1)

    def forward(self, x: Tensor, others: Tensor, own: Tensor) -> Tensor:
        one, two = self.features(torch.cat([x, others])).tensor_split(2)  # (B, D, h, w)
        place = torch.ones_like(one[:, :1])
        one, two = torch.cat([one, own * place], 1), torch.cat([two, (1 - own) * place], 1)
        # The logit of the weight: masks start near it everywhere.
        score = self._attended(one, two) - self._attended(two, one) + torch.logit(own)
        return F.interpolate(score.float(), x.shape[2:], mode="bilinear").sigmoid()

    def _attended(self, of: Tensor, to: Tensor) -> Tensor:
        """(B, 1, h, w): for each position of the one, the mean of the values of the other by their likeness."""
        query, key = self.query(of).flatten(2), self.key(to).flatten(2)  # (B, d, h w)
        scores = (query.transpose(1, 2) @ key * query.shape[1] ** -0.5).softmax(2)
        found: Tensor = (self.value(to).flatten(2) @ scores.transpose(1, 2)).unflatten(2, of.shape[2:])
        return found


def taught(teacher: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the features that the last layer reads; the teacher's weights get no gradient, its buffers stay."""
    found: list[Tensor] = []
    weights = {name: parameter.detach() for name, parameter in teacher.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in teacher.named_buffers()}
    handle = last_linear(teacher).register_forward_pre_hook(lambda module, inputs: found.append(inputs[0]))
    try:
        logits = functional_call(teacher, {**weights, **buffers}, (images,))
    finally:
        handle.remove()
    return logits, found[-1]
