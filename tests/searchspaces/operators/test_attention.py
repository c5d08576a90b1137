"""Attention: its variants by their formulas, its symmetries, pooled keys, published counts."""

import pytest
import torch
import torch.nn.functional as F
from matrices import close, lively, random
from torch import Tensor, nn

from searchspaces.architecture import Shape
from searchspaces.operators.attention import Attending, Attention, Triangular, Variant

VARIANTS: tuple[Variant, ...] = ("full", "qk_vo", "qk", "sym", "chol")


def built(config: Attention, shape: Shape) -> Attending:
    torch.manual_seed(0)
    mixer = lively(config.build(shape))
    assert isinstance(mixer, Attending)
    return mixer


def weight(layer: nn.Module | None) -> Tensor:
    """W of ``t W``."""
    assert isinstance(layer, nn.Linear | Triangular)
    return layer.weight.T


def by_definition(mixer: Attending, variant: Variant, t: Tensor, k: Tensor) -> Tensor:
    """One head on tokens (N, C) with keys of tokens (M, C)."""
    query = t @ weight(mixer.query)
    key = {"full": k @ weight(mixer.key) if mixer.key else k, "qk": k, "qk_vo": k}.get(variant, k @ weight(mixer.query))
    value = k @ weight(mixer.value) if mixer.value else k
    mixed = (query @ key.T / t.shape[1] ** 0.5).softmax(-1) @ value
    return mixed @ weight(mixer.out) if mixer.out else mixed


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pool", [0, 2])
def test_one_head_is_its_formula(variant: Variant, pool: int) -> None:
    shape = (6, 5, 4)
    mixer, x = built(Attention(variant, pool=pool), shape), random(2, *shape)
    keys = F.avg_pool2d(x, pool, ceil_mode=True) if pool else x
    expected = [by_definition(mixer, variant, *(i.flatten(1).T for i in pair)) for pair in zip(x, keys, strict=True)]
    close(mixer(x).flatten(2), torch.stack(expected).transpose(1, 2))


def test_heads_are_those_of_pytorch() -> None:
    shape = (8, 3, 5)
    mixer, x = built(Attention(heads=4), shape), random(2, *shape)
    t = x.flatten(2).transpose(1, 2)
    q, k, v = ((t @ weight(m)).view(2, 15, 4, 2).transpose(1, 2) for m in (mixer.query, mixer.key, mixer.value))
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2) @ weight(mixer.out)
    close(mixer(x).flatten(2), mixed.transpose(1, 2))


def test_heads_of_collapsed_matrices_are_full_heads_multiplied_out() -> None:
    shape, heads, d = (6, 3, 4), 3, 2
    full, x = built(Attention(heads=heads), shape), random(2, *shape)
    collapsed = built(Attention("qk_vo", heads=heads), shape)
    q, k, v, o = (weight(m).detach() for m in (full.query, full.key, full.value, full.out))
    slices = [slice(d * h, d * h + d) for h in range(heads)]
    assert isinstance(collapsed.query, nn.Linear)
    assert collapsed.value is not None
    collapsed.query.weight.data = torch.cat([q[:, s] @ k[:, s].T for s in slices], 1).T
    collapsed.value.weight.data = torch.cat([v[:, s] @ o[s] for s in slices], 1).T
    close(collapsed(x), full(x))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("heads", [1, 2])
def test_every_variant_commutes_with_permutations_of_the_tokens(variant: Variant, heads: int) -> None:
    shape = (6, 3, 4)
    mixer, x = built(Attention(variant, heads), shape), random(2, *shape)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    moved = mixer(x.flatten(2)[..., order].view(2, *shape))
    close(moved.flatten(2), mixer(x).flatten(2)[..., order])


def test_triangular_matrices_have_their_entries_on_and_below_the_diagonal() -> None:
    layer = Triangular(4, 2).double()
    for transposed in layer.weight.view(2, 4, 4):
        assert torch.equal(transposed.T, transposed.T.tril())
        assert transposed.count_nonzero() == 10
        values = torch.linalg.eigvalsh(transposed.T @ transposed)
        assert values.min() >= -1e-12


def test_large_grids_are_pooled_to_64_keys() -> None:
    assert Attention().window((8, 16, 16)) == (1, 1)
    assert Attention().window((8, 32, 32)) == (4, 4)
    assert Attention().window((8, 4, 400)) == (4, 7)
    assert Attention(pool=2).window((8, 32, 32)) == (2, 2)


@pytest.mark.parametrize(
    ("config", "shape", "parameters", "macs"),
    [
        (Attention(), (64, 16, 16), 16_384, 12.6),
        (Attention(), (96, 14, 14), 36_864, 14.6),
        (Attention(), (256, 8, 8), 262_144, 18.9),
        (Attention("qk"), (64, 16, 16), 4_096, 9.4),
        (Attention("qk"), (96, 14, 14), 9_216, 9.2),
        (Attention("qk"), (256, 8, 8), 65_536, 6.3),
        (Attention("chol"), (64, 16, 16), 2_080, 9.4),
        (Attention("chol"), (96, 14, 14), 4_656, 9.2),
        (Attention("chol"), (256, 8, 8), 32_896, 6.3),
    ],
)
def test_counts_are_the_published_ones(config: Attention, shape: Shape, parameters: int, macs: float) -> None:
    cost, tokens = config.cost(shape), shape[1] * shape[2]
    maps = 4 if config.variant == "full" else 1
    assert cost.parameters == parameters
    assert cost.macs == maps * tokens * shape[0] ** 2 + 2 * tokens**2 * shape[0]
    assert round(cost.macs / 1e6, 1) == macs


def test_wrong_heads_and_windows_are_refused_with_what_can_be() -> None:
    with pytest.raises(ValueError, match=r"heads must divide the channels, got heads=4 for 6 channels.*1, 2, 3, 6\."):
        Attention(heads=4).build((6, 3, 4))
    with pytest.raises(ValueError, match=r"pool must be at most the sides of the grid, got pool=4 for input \(6, 3, 4"):
        Attention(pool=4).build((6, 3, 4))
    with pytest.raises(ValueError, match=r"variant must be one of full, qk_vo, qk, sym, chol, got 'vo'\."):
        Attention("vo")  # type: ignore[arg-type]
