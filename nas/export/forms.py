"""In which forms a network is taken away: chosen, written, and proven or, if they round, measured."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from nas.errors import StoppedError, WrongInputError
from nas.export.formats import FORMATS, Taken, missing
from nas.export.formats.graph import ExpectedCosts
from nas.export.losses import Losses, losses
from nas.export.proof import Proof, answers, compared, ran
from nas.problem import find_objectives
from nas.settings import Settings
from objectives import Candidate
from objectives.objective import Images
from searchspaces import Shape
from searchspaces.registry import lookup


@dataclass(frozen=True)
class Forms:
    """In which forms besides our own a network is written (`nas.export.formats`).

    Args:
        names: of them; unset: in all usual ones that this machine and the network allow; the README says which they do
            not.
        batch: images at a time for which graphs are folded (`nas.export.formats.folding`); None: they are not.
        products: write Fourier transforms in graphs as matrix products, for runtimes that have none.
        materialise: write frozen tensors out in our own form too, which else holds their seeds (`nas.export.seeds`).

    Raises:
        ValueError: if there is no such form or batch, or what a form takes is not installed.
    """

    names: tuple[str, ...] | None = ()
    batch: int | None = 1
    materialise: bool = False
    products: bool = False

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of those that are tried."""
        return self.names if self.names is not None else tuple(n for n, form in FORMATS.items() if form.usual)

    @property
    def rounded(self) -> tuple[str, ...]:
        """Names of those that round."""
        return tuple(name for name in self.chosen if not FORMATS[name].exact)

    @classmethod
    def of(
        cls,
        names: Sequence[str] | None,
        batch: int | None = 1,
        *,
        materialise: bool = False,
        products: bool = False,
    ) -> Self:
        """Those of a list; all for None."""
        return cls(None if names is None else tuple(names), batch, materialise, products)

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"the batch must be 1 or more, got {self.batch}.")
        for name in self.names or ():
            lookup(FORMATS, "format", name)
            if reason := missing(name):
                raise ValueError(f"{name} cannot be written: {reason}.")


def check_forms(forms: Forms, outputs: int | Shape, *, measured: bool) -> None:
    """Checks that a network can be written in some forms, before anything is.

    Args:
        outputs: of the network: a number of classes, or the shape of an image or a forecast.
        measured: whether the images of the study are read.

    Raises:
        WrongInputError: if one rounds, and what that loses cannot be found.
    """
    for name in forms.rounded:
        if not isinstance(outputs, int):
            raise WrongInputError(
                f"{name} states what it loses in accuracy, but this network returns no classes. Name other forms."
            )
        if not measured:
            raise WrongInputError(
                f"{name} is calibrated on training images of the study, but --no-verify reads none. Leave one out."
            )


OURS_ALONE = Forms()
"""No form besides our own."""


@dataclass(frozen=True)
class Written:
    """Forms that were written and what is known of them, and form -> why it is not there."""

    proofs: list[Proof] = field(default_factory=list)
    losses: list[Losses] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def write_forms(
    taken: Taken, folder: Path, forms: Forms, images: Images, candidate: Candidate | None, settings: Settings
) -> Written:
    """Writes a network in other forms and proves them, or measures what they lose if they round.

    Args:
        images: that are measured, or random ones.
        candidate: the network with those that are measured; None if none are.

    Raises:
        StoppedError: if one that was named cannot be written, or is not what it should be.
    """
    done, names = Written(), forms.chosen
    wanted = answers(taken.network, images) if names else np.empty(0)
    expected = ExpectedCosts.of(taken.architecture, taken.network) if names and taken.architecture else None
    done.left_out.update({name: reason for name in names if (reason := missing(name))})
    exact = [name for name in names if FORMATS[name].exact and name not in done.left_out]
    found = proven(exact, taken, folder, images, wanted, expected)
    if candidate is not None:
        for name in (name for name in forms.rounded if name not in done.left_out):
            with _kept(found, name):
                FORMATS[name]().write(taken, folder)
                found[name] = losses(name, folder, taken, candidate, find_objectives(settings), wanted)
    for name in (name for name in names if name in found):
        match found[name]:
            case Proof() as proof:
                done.proofs.append(proof)
            case Losses() as lost:
                done.losses.append(lost)
            case error if forms.names is not None:
                raise StoppedError(f"nothing was exported: {error}") from None
            case error:
                done.left_out[name] = str(error)
                for file in FORMATS[name].files:
                    (folder / file).unlink(missing_ok=True)
    return done


@contextmanager
def _kept(found: dict[str, Proof | Losses | Exception], name: str) -> Iterator[None]:
    """Keeps why a form is not written."""
    try:
        yield
    except (ValueError, StoppedError) as error:
        found[name] = error


def proven(
    names: Sequence[str],
    taken: Taken,
    folder: Path,
    images: Images,
    wanted: np.ndarray,
    expected: ExpectedCosts | None,
) -> dict[str, Proof | Losses | Exception]:
    """Writes forms and proves them; of each its proof, or why it cannot be written or is not the network.

    One that folding has moved too far from the network is written as it is defined.
    """
    found: dict[str, Proof | Losses | Exception] = {}
    for name in names:
        with _kept(found, name):
            FORMATS[name]().write(taken, folder)
    for name, run in ran([name for name in names if name not in found], folder, images).items():
        folding = taken.folding if FORMATS[name].folds else None
        # Products are more work than the transforms, and what is folded is less.
        changed = folding is not None or (taken.products and FORMATS[name].folds)
        with _kept(found, name):
            found[name] = replace(compared(name, run, wanted, None if changed else expected), folding=folding)
        if folding is not None and not isinstance(found[name], Proof):
            found |= proven([name], replace(taken, batch=None, made={}), folder, images, wanted, expected)
    return found
