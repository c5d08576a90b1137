"""Data sets that pose another task on the images of a data set, such as ``unshuffle:cifar10``."""

from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from trainers.dataset import DATASETS, Dataset
from trainers.samples import Samples, Split


@dataclass(frozen=True)
class Derived(Dataset):
    """The samples of another data set; subclasses say what is learnt from them.

    Args:
        location: of that data set, if it needs one.
        source: its name.
        given: its options, by name.
    """

    source: str = ""
    given: dict[str, Any] = field(default_factory=dict, hash=False)

    takes = "NAME"
    decided = ("given",)
    origin = "It is made of the data set NAME, which must be on this machine."

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source:
            for name in ("flip", "shift", "decibels", "epsilon", "things"):
                object.__setattr__(self, name, getattr(self.inner, name))

    @classmethod
    def shorthand(cls, text: str) -> dict[str, Any]:
        """The options in ``NAME:LOCATION,option=value``: our own ones at the end, before them those of ``NAME``.

        Raises:
            ValueError: as `Dataset.shorthand`.
        """
        own = {field.name for field in fields(cls)} - {field.name for field in fields(Derived)}
        items, mine = text.split(","), list[str]()
        while items and items[-1].partition("=")[0] in own:
            mine.insert(0, items.pop())
        options = super().shorthand(",".join(mine)) if mine else {}
        name, _, rest = ",".join(items).partition(":")
        if "=" in name:
            super().shorthand(name)  # an option of nobody
        if not name:
            return options
        given = _found(name).shorthand(rest) if rest else {}
        found = {"source": name, "location": given.pop("location", ""), "given": given}
        return options | {key: value for key, value in found.items() if value}

    @cached_property
    def inner(self) -> Dataset:
        """The data set that the samples are from.

        Raises:
            ValueError: if there is none of that name, or it does not take an option, or its task is another one.
        """
        if not self.source:
            raise ValueError(f"{self.name} needs the name of a data set, as in {self.example}.")
        try:
            found = _found(self.source)(location=self.location, **self.given)
        except TypeError as error:
            raise ValueError(f"options of {self.source}: {error}.") from None
        if not found.poses().labelled:
            raise ValueError(f"{self.name} takes a data set for classification, got {self.source}.")
        return found

    @property
    def own_validation(self) -> bool:
        return self.inner.own_validation

    def classes(self) -> tuple[str, ...]:
        return self.inner.classes()

    def load(self, split: Split, limit: int | None = None) -> Samples:
        samples = self.inner.load(split, limit)
        if not samples.decided:
            return samples
        return replace(samples, decided={"given": {**self.given, **samples.decided}})

    def found(self) -> str | None:
        return self.inner.found() if self.source else None


def _found(name: str) -> type[Dataset]:
    if name not in DATASETS:
        near = "".join(f" Did you mean {other!r}?" for other in get_close_matches(name, DATASETS, n=1))
        raise ValueError(f"unknown data set {name!r}.{near} Known: {', '.join(sorted(DATASETS))}.")
    return DATASETS[name]
