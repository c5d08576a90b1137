"""Every closed form of a block, stem, head or downsampling against counting on the meta device and autograd."""

from functools import partial
from typing import Any

import pytest

from nas.testing.costs import check_cost
from nas.testing.operators import COST_SHAPES, variants
from searchspaces import NoFormulaError
from searchspaces.architecture import BLOCKS, DOWNSAMPLES, HEADS, STEMS, TokenMixer

NODES = [*BLOCKS.values(), *STEMS.values(), *HEADS.values(), *DOWNSAMPLES.values()]


@pytest.mark.parametrize("cls", NODES, ids=lambda cls: cls.kind)
def test_the_closed_form_of_a_node_is_what_counting_gives(cls: Any) -> None:
    for shape in COST_SHAPES:
        for node in variants(cls, shape, limit=12):
            check_cost(node.cost(shape), partial(node.build, shape), shape)


def test_a_node_without_a_formula_says_so() -> None:
    class Strange(TokenMixer):
        kind = "strange"

    with pytest.raises(NoFormulaError, match="strange"):
        Strange().cost((8, 4, 4))
