"""In which forms a network is taken away: chosen, written, and proven or, if they round, measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from nas.errors import StoppedError, WrongInputError
from nas.export.formats import FORMATS, Taken, missing
from nas.export.formats.graph import ExpectedCosts
from nas.export.losses import Losses, losses
from nas.export.proof import Proof, answers, prove
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
        outputs: of the network: a number of classes, or the shape of an image.
        measured: whether the images of the study are read.

    Raises:
        WrongInputError: if one rounds, and what that loses cannot be found.
    """
    for name in forms.rounded:
        if not isinstance(outputs, int):
            raise WrongInputError(
                f"{name} states what it loses in accuracy, but this network returns images. Name other forms."
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
    for name in names:
        if reason := missing(name):
            done.left_out[name] = reason
            continue
        try:
            if FORMATS[name].exact:
                done.proofs.append(proven(name, taken, folder, images, wanted, expected))
            elif candidate is not None:
                FORMATS[name]().write(taken, folder)
                done.losses.append(losses(name, folder, taken, candidate, find_objectives(settings), wanted))
        except (ValueError, StoppedError) as error:
            if forms.names is not None:
                raise StoppedError(f"nothing was exported: {error}") from None
            done.left_out[name] = str(error)
            for file in FORMATS[name].files:
                (folder / file).unlink(missing_ok=True)
    return done


def proven(
    name: str, taken: Taken, folder: Path, images: Images, wanted: np.ndarray, expected: ExpectedCosts | None
) -> Proof:
    """Writes a form and proves it; one that folding has moved too far from the network is written as it is defined.

    Raises:
        ValueError, StoppedError: if it cannot be written, or is not the network.
    """
    FORMATS[name]().write(taken, folder)
    folding = taken.folding if FORMATS[name].folds else None
    if taken.products and FORMATS[name].folds:
        expected = None  # the products are more work than the transforms
    if folding is None:
        return prove(name, folder, images, wanted, expected)
    try:
        return replace(prove(name, folder, images, wanted), folding=folding)
    except StoppedError:
        return proven(name, replace(taken, batch=None, made={}), folder, images, wanted, expected)
