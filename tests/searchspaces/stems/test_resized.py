"""A fixed number of tokens by resizing."""

import math

import pytest
import torch

from searchspaces.stems.embedding import EmbeddingStem
from searchspaces.stems.resized import ResizedStem


def test_a_resized_stem_keeps_its_embedding_as_the_tokens_change() -> None:
    shapes = {tokens: ResizedStem(8, tokens).build((3, 10, 14)) for tokens in (4, 16, 25)}
    for tokens, stem in shapes.items():
        side = math.isqrt(tokens)
        assert stem(torch.rand(2, 3, 10, 14)).shape == (2, 8, side, side)
        assert sum(p.numel() for p in stem.parameters()) == 8 * (3 * 16 + 1)


def test_a_resized_stem_leaves_an_image_of_the_right_size_alone() -> None:
    stem, x = ResizedStem(8, 16, patch=2).build((1, 8, 8)), torch.rand(2, 1, 8, 8)
    assert torch.equal(stem(x), stem.conv(x))
    assert ResizedStem(8, 16, patch=2).cost((1, 8, 8)) == EmbeddingStem(8, 2, 2).cost((1, 8, 8))


def test_a_resized_stem_skips_no_pixel_of_a_large_image() -> None:
    x = torch.rand(1, 1, 64, 48, requires_grad=True)
    ResizedStem(3, 4, patch=2).build((1, 64, 48))(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.count_nonzero() == x.numel()


def test_a_resized_stem_lists_squares() -> None:
    with pytest.raises(
        ValueError, match=r"tokens must be a square, got 50\. Squares near it: 25, 36, 49, 64, 81, 100\."
    ):
        ResizedStem(8, 50)
