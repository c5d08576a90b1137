"""Two trials compared image by image."""

from dataclasses import dataclass

from nas.errors import WrongInputError
from nas.store.traces import Predictions


@dataclass(frozen=True)
class Comparison:
    """On which images two networks differ.

    Args:
        images: that both were measured on.
        first, second: images that only that one classifies correctly.
        p: probability that two equally good networks differ as much (McNemar's exact test); small where one is better.
    """

    images: int
    first: int
    second: int
    p: float


def compare(first: Predictions, second: Predictions) -> Comparison:
    """The two networks compared, on the same images.

    Raises:
        WrongInputError: if they were not measured on as many, or predict no classes.
    """
    if len(first.right) != len(second.right) or not len(first.right):
        raise WrongInputError(
            f"only predictions of classes for the same images can be compared, got {len(first.right)} and "
            f"{len(second.right)}."
        )
    from scipy.stats import binomtest

    one, other = int((first.right & ~second.right).sum()), int((second.right & ~first.right).sum())
    p = float(binomtest(one, one + other).pvalue) if one + other else 1.0
    return Comparison(len(first.right), one, other, p)
