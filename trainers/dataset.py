"""The data set contract: options as fields, classes, and one split at a time.

Loading the training split never opens the test files, so that a search cannot see them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, get_args, get_type_hints

from trainers.samples import Samples, Split
from trainers.task import Classification, Task


@dataclass(frozen=True)
class Dataset:
    """A data set; subclasses register under a name and load one split at a time.

    Args:
        location: file or folder, ``~`` for the home folder; empty for data sets that are found by name alone.
    """

    location: str = ""

    name: ClassVar[str]
    """Under which it is registered."""
    example: ClassVar[str] = ""
    """How a study writes it in one word, for messages; unset: the name and what it takes."""
    sized: ClassVar[tuple[str, str] | None] = None
    """The two options that ``32x64`` stands for in the shorthand."""
    things: ClassVar[str] = "images"
    """What there are many of, for messages."""
    decided: ClassVar[tuple[str, ...]] = ()
    """Options that the training split decides where they are unset, for all splits (`Samples.decided`)."""

    flip: ClassVar[bool] = False
    """Whether a mirrored image still is a typical member of its class."""
    shift: ClassVar[int] = 0
    """Pixels by which an image may be moved without leaving its class."""
    decibels: ClassVar[float] = 0.0
    """From black to white, in spectrograms that show the logarithm of the power; 0 for all other images."""
    epsilon: ClassVar[str] = "4/255"
    """Radius of the default attack, in pixel units 0..1."""
    origin: ClassVar[str]
    """Where the data come from, for a person who lacks them."""
    takes: ClassVar[str] = ""
    """What its location must be, FILE or DIR; empty if the name alone is enough."""
    files: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """What can be downloaded: file in the data folder -> (address, checksum as ``md5:...`` or ``sha256:...``).

    Archives (``.tar.gz``) are unpacked into their folder.
    """

    @property
    def own_validation(self) -> bool:
        """Whether ``load("validation")`` returns an official split; else a share of ``train`` is held out."""
        return False

    def poses(self) -> Task:
        """The task: what is learnt from the data; classification unless a data set says otherwise."""
        return Classification()

    def __post_init__(self) -> None:
        if self.location.startswith("~"):
            object.__setattr__(self, "location", str(Path(self.location).expanduser()))

    @classmethod
    def of(cls, text: str) -> Self:
        """The data set of a shorthand: ``Fsdd.of("recordings,speaker=theo,40x64")``; see `shorthand`."""
        return cls(**cls.shorthand(text))

    @classmethod
    def shorthand(cls, text: str) -> dict[str, Any]:
        """The options in ``LOCATION,option=value,option=value``, by name; each may be left out.

        A comma in front of anything else belongs to the location; one that looks like an option is written ``./a=b``.
        ``32x64`` alone stands for the options that `sized` names.

        Raises:
            ValueError: if an option is unknown, comes twice or is not of its type.
        """
        hints = get_type_hints(cls)
        known = [field.name for field in fields(cls) if field.name != "location"]
        pattern = r"(\w+)=([^/]*)|(\d+)x(\d+)" if cls.sized else r"(\w+)=([^/]*)"
        items, options = text.split(","), dict[str, Any]()
        while items and (match := re.fullmatch(pattern, items[-1])):
            given = {match[1]: match[2]} if match[1] else dict(zip(cls.sized or (), match.groups()[2:], strict=True))
            for key, value in given.items():
                if key not in known or key in options:
                    why = (
                        "comes twice" if key in options else f"is unknown. Known: {', '.join(sorted(known)) or 'none'}"
                    )
                    raise ValueError(f"option {key!r} of {text!r} {why}. Write it as in {cls.written()}.")
                options[key] = _typed(key, value, hints[key])
            items.pop()
        location = ",".join(items)
        return {"location": location, **options} if location else options

    @classmethod
    def written(cls) -> str:
        """How a study writes this data set, for messages."""
        return cls.example or f"{cls.name}:{cls.takes or 'DIR'}"

    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by number."""
        raise NotImplementedError

    def load(self, split: Split, limit: int | None = None) -> Samples:
        """One split, in the order of its files; with ``limit`` at least that many images if there are as many.

        Every file of an array has been read; those of `Images` have been opened.

        Raises:
            FileNotFoundError: if the files are missing, with what was searched for and where to get it.
            ValueError: if a file is truncated or not what it should be, naming the file.
        """
        raise NotImplementedError

    def found(self) -> str | None:
        """Where the data are on this machine; None if they are not."""
        raise NotImplementedError


def _typed(key: str, text: str, hint: Any) -> Any:
    """The value of an option, of the type of its field."""
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind in (int, float)]
    if not kinds:
        return text
    try:
        return kinds[0](text)
    except ValueError:
        what = "a whole number" if kinds[0] is int else "a number"
        raise ValueError(f"{key} must be {what}, got {text!r}.") from None


def check_range(name: str, value: float | None, least: float, most: float) -> None:
    """Checks the value of an option; an unset one passes.

    Raises:
        ValueError: if it is not from ``least`` to ``most``.
    """
    if value is not None and not least <= value <= most:
        raise ValueError(f"{name} must be from {least:g} to {most:g}, got {value:g}.")


def check_most(settings: object, **most: float) -> None:
    """Makes sure that settings are not larger than all that makes sense, or than libraries take; unset ones pass.

    Raises:
        ValueError: naming the first one that is.
    """
    for name, bound in most.items():
        if (value := getattr(settings, name)) is not None and value > bound:
            raise ValueError(f"{name} must be at most {bound:,}, got {value}.")


def check_idle(settings: object, name: str, needed: object, what: str) -> None:
    """Refuses a setting that would do nothing: one that differs from its default without what it is a part of.

    Args:
        needed: true if what it is a part of is in use.
        what: that, in words.

    Raises:
        ValueError: if it would do nothing.
    """
    value, default = getattr(settings, name), getattr(type(settings), name)
    if not needed and value != default:
        raise ValueError(f"{name} = {value} does nothing without {what}. Set that, or leave {name} at {default}.")


DATASETS: dict[str, type[Dataset]] = {}
T = TypeVar("T", bound=type[Dataset])


def dataset(name: str) -> Callable[[T], T]:
    """Class decorator that registers a data set.

    Raises:
        ValueError: if the name is taken, or the class is no frozen dataclass derived from `Dataset`.
    """

    def add(cls: T) -> T:
        if name in DATASETS:
            raise ValueError(f"data set {name!r} is already registered by {DATASETS[name]!r}. Choose another name.")
        if not issubclass(cls, Dataset) or "__dataclass_params__" not in vars(cls):
            raise ValueError(f"data set {name!r} must be a frozen dataclass derived from Dataset, got {cls!r}.")
        cls.name = name
        DATASETS[name] = cls
        return cls

    return add
