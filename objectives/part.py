"""The part of the images that an expensive objective measures on: every class in its share, the same for all trials."""

import torch
from torch import Generator, Tensor


def stratified(labels: Tensor, samples: int, seed: int) -> Tensor:
    """(n,) ascending numbers of ``samples`` images, each class in its share (largest remainders) and at least once.

    All of them if there are no more; more than ``samples`` only where there are more classes. Which images of a class
    depends on ``seed`` and the labels alone.

    Args:
        labels: (N,) class numbers from 0.
    """
    labels = labels.cpu()
    if samples >= len(labels):
        return torch.arange(len(labels))
    counts = torch.bincount(labels)
    wanted = shares(counts.tolist(), samples)
    order = torch.randperm(len(labels), generator=Generator().manual_seed(seed))
    chosen = [order[labels[order] == number][:count] for number, count in enumerate(wanted)]
    return torch.cat(chosen).sort().values


def shares(counts: list[int], samples: int) -> list[int]:
    """How many of each class make a stratified part: ``shares([6, 3, 1, 0], 5)`` returns ``[3, 1, 1, 0]``."""
    exact = [samples * count / sum(counts) for count in counts]
    wanted = [max(int(share), min(count, 1)) for share, count in zip(exact, counts, strict=True)]
    classes = range(len(counts))
    while sum(wanted) < samples:
        wanted[max((i for i in classes if wanted[i] < counts[i]), key=lambda i: exact[i] - wanted[i])] += 1
    while sum(wanted) > samples and max(wanted) > 1:  # rare classes were given more than their share
        wanted[max((i for i in classes if wanted[i] > 1), key=lambda i: wanted[i] - exact[i])] -= 1
    return wanted
