"""How a data set is limited and divided, so that every class can be learnt and measured.

scikit-learn draws the parts; where it would leave a class out (it rounds the shares of classes, and a small one to
nothing), they are drawn here, with a floor for each class.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from trainers.dataset import Dataset
from trainers.samples import Samples, Split

Parts = tuple[np.ndarray, np.ndarray]
"""Sorted indices of the samples that were chosen, and of the others."""


@dataclass
class Shares:
    """The parts of a data set; every class is in each of them, or the reason why it cannot be is told.

    Args:
        limit: samples of both parts together; None for all.
        validation: share of them that is held out.
        notes: what was done that a person may not expect.
    """

    dataset: Dataset
    limit: int | None
    validation: float
    seed: int
    notes: list[str] = field(default_factory=list)
    whole: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """Samples of each class in the whole training split."""
    read: str = ""
    """What is to be said of how it was read."""

    def official(self) -> tuple[Samples, Samples]:
        """Training samples and those of the official validation split."""
        apart = None if self.limit is None else self._held_out(self.limit)
        kept = None if self.limit is None or apart is None else self.limit - apart
        train = self.limited("train", kept, least=1)
        if train.decided:
            self.dataset = replace(self.dataset, **train.decided)
        held_out = self.limited("validation", apart, least=1)
        if train.images.shape[1:] != held_out.images.shape[1:]:
            raise ValueError(
                f"training {self.dataset.things} are {train.images.shape[1:]}, validation {self.dataset.things} "
                f"{held_out.images.shape[1:]} (channels, height, width). Make them alike."
            )
        return train, held_out

    def limited(self, split: Split, count: int | None, *, least: int) -> Samples:
        """``count`` samples of a split, every class in its share, but at least ``least`` of each; all without a count.

        Raises:
            ValueError: if there are too few for that, naming a class.
        """
        samples = self.dataset.load(split, count)
        if count is not None and self._sizes(samples).min() < least:
            samples = self.dataset.load(split)  # what comes first may be one class alone
        sizes = self._sizes(samples)
        if split == "train":
            self.whole, self.read = sizes, "".join(f" ({note}.)" for note in samples.notes)
            self._check(sizes, least)
        if count is None or count >= len(samples):
            return samples
        floor = np.minimum(sizes, least)
        parts = _stratified(samples.labels, count, self.seed)
        if parts is None or (_sizes(samples.labels[parts[0]], len(sizes)) < floor).any():
            parts = _drawn(samples.labels, count, self.seed, floor, 0 * floor)
            if parts is None:
                raise self._too_few()
            self._note(sizes, np.flatnonzero(count * sizes < least * len(samples)), f"{least} within data.limit")
        return samples[parts[0]]

    def divided(self, samples: Samples) -> Parts:
        """Indices of the samples to train on and of those for validation.

        Raises:
            ValueError: if a class would be missing in one of them, naming it.
        """
        sizes = self._sizes(samples)
        present = np.minimum(sizes, 1)
        if samples.groups is not None:
            return self._by_groups(samples, samples.groups)
        self._check(sizes, 2)
        kept = len(samples) - round(self.validation * len(samples))
        parts = _stratified(samples.labels, kept, self.seed)
        if parts is None or any((_sizes(samples.labels[part], len(sizes)) < present).any() for part in parts):
            parts = _drawn(samples.labels, kept, self.seed, present, present)
            if parts is None:
                raise self._too_few()
            self._note(sizes, np.flatnonzero(sizes * (len(samples) - kept) < len(samples)), "1 for validation")
        return parts

    def _by_groups(self, samples: Samples, groups: np.ndarray) -> Parts:
        from sklearn.model_selection import StratifiedGroupKFold

        count, classes = len(np.unique(groups)), len(self._sizes(samples))
        if count < 2:
            raise ValueError(
                f"all {self.dataset.things} belong to one group (speaker or recording), so none can be held out."
            )
        folds = StratifiedGroupKFold(
            max(2, min(count, round(1 / self.validation))), shuffle=True, random_state=self.seed
        )
        absent = 0
        for parts in folds.split(samples.labels, samples.labels, groups):
            sizes = np.array([_sizes(samples.labels[part], classes) for part in parts])
            if sizes.all():
                return np.sort(parts[0]), np.sort(parts[1])
            absent = int(np.argmin(sizes.min(0)))
        raise ValueError(
            f"class {self._name(absent)} is in too few groups (speakers or recordings): where whole ones are held out, "
            "it is missing in training or in validation. Raise data.limit, change data.validation, or leave it out."
        )

    def _note(self, sizes: np.ndarray, small: np.ndarray, kept: str) -> None:
        """Notes that the classes ``small`` got more than their share."""
        there = [int(label) for label in small if sizes[label]]
        if there:
            names = ", ".join(self._name(label) for label in there[:5])
            more = f" and {len(there) - 5} more classes" if len(there) > 5 else ""
            self.notes.append(f"{self.dataset.things} of {names}{more}: kept {kept}, more than their share")

    def _check(self, sizes: np.ndarray, least: int) -> None:
        """Raises ValueError for a class of less than ``least`` samples in the whole training split."""
        rarest = int(np.argmin(sizes))
        if sizes[rarest] < least:
            why = "one to train and one to validate on" if least == 2 else "to train on"
            raise ValueError(
                f"class {self._name(rarest)} has {sizes[rarest]} of the {sizes.sum()} training {self.dataset.things}, "
                f"but at least {least} are needed, {why}. Add to the class, or remove it.{self.read}"
            )

    def _too_few(self) -> ValueError:
        """The error for a limit, or a share of validation, that does not reach for every class."""
        classes, things, available = len(self.whole), self.dataset.things, int(self.whole.sum())
        name = self._name(int(np.argmin(self.whole)))
        total = available if self.limit is None else min(self.limit, available)
        apart = self._held_out(total)
        said = (
            f"{total} {things} are divided into {total - apart} for training and {apart} for validation, but each of "
            f"the {classes} classes must be in both, and class {name}, the rarest, would not be."
        )
        enough = range(2 * classes, 100 * classes + 1)
        least = next((n for n in enough if classes <= self._held_out(n) <= n - classes), None)
        if self.limit is not None and least is not None and self.limit < least <= available:
            return ValueError(f"{said} The least data.limit that will do is {least}.{self.read}")
        return ValueError(f"{said} Use more {things}, or another data.validation than {self.validation:g}.{self.read}")

    def _held_out(self, total: int) -> int:
        """How many of ``total`` samples are for validation."""
        apart = round(self.validation * total)
        return max(1, apart) if self.dataset.own_validation else apart

    def _sizes(self, samples: Samples) -> np.ndarray:
        return _sizes(samples.labels, len(self._classes))

    def _name(self, label: int) -> str:
        return repr(self._classes[label]) if label < len(self._classes) else f"number {label}"

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        return self.dataset.classes()


def _sizes(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(labels, minlength=classes)


def _stratified(labels: np.ndarray, count: int, seed: int) -> Parts | None:
    """``count`` samples, every class about in its share; None if that leaves a class out."""
    from sklearn.model_selection import train_test_split

    try:
        chosen, rest = train_test_split(np.arange(len(labels)), train_size=count, stratify=labels, random_state=seed)
    except ValueError:
        return None
    return np.sort(chosen), np.sort(rest)


def _drawn(labels: np.ndarray, count: int, seed: int, floor: np.ndarray, spared: np.ndarray) -> Parts | None:
    """``count`` samples, of every class its share, but at least ``floor``, and all but ``spared`` at most.

    None if there are no such samples.
    """
    sizes = _sizes(labels, len(floor))
    most = sizes - spared
    if not floor.sum() <= count <= most.sum() or (most < floor).any():
        return None
    share = count * sizes / len(labels)
    quota = np.clip(np.floor(share).astype(np.int64), floor, most)
    while (missing := count - int(quota.sum())) != 0:
        step = 1 if missing > 0 else -1
        free = quota < most if step > 0 else quota > floor
        lacking = step * (share - quota) / np.maximum(share, 1e-12)
        quota[np.argmax(np.where(free, lacking, -np.inf))] += step
    random = np.random.default_rng(seed)
    parts = [random.permutation(np.flatnonzero(labels == label)) for label in range(len(floor))]
    chosen = np.concatenate([part[:number] for part, number in zip(parts, quota, strict=True)])
    rest = np.concatenate([part[number:] for part, number in zip(parts, quota, strict=True)])
    return np.sort(chosen), np.sort(rest)
