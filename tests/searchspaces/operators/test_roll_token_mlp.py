"""A token MLP over rolled tokens."""

import pytest
import torch
import torch.nn.functional as F

from searchspaces.architecture import Shape, TokenMixer, decode, encode
from searchspaces.operators.roll_mix import RollMix
from searchspaces.operators.roll_token_mlp import RollTokenMLP


def image(shape: Shape, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))


def test_the_token_mlp_reads_rolled_tokens_row_by_row() -> None:
    shape = (16, 3, 5)
    mixer, x = RollTokenMLP(7, RollMix(16)).build(shape), image(shape)
    first, _, second = mixer.mlp
    rolled = RollMix(16).build(shape)(x).flatten(2)
    expected = F.gelu(rolled @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(mixer(x), expected.view_as(x))


def test_a_token_mlp_has_the_published_count() -> None:
    cost = RollTokenMLP(384).cost((768, 12, 50))
    assert cost.parameters == 2 * 600 * 384 + 384 + 600
    assert cost.macs == 2 * 600 * 384 * 768


def test_a_roll_inside_a_token_mlp_keeps_itself_through_json_and_is_checked() -> None:
    spec = RollTokenMLP(8, RollMix(4, 2, fill="zero"))
    assert decode(TokenMixer, encode(spec), "mixer") == spec
    with pytest.raises(ValueError, match="roll must be a roll_mix, got NoTokenMixing"):
        decode(TokenMixer, {"kind": "roll_token_mlp", "hidden": 8, "roll": {"kind": "identity"}}, "mixer")
    with pytest.raises(ValueError, match="hidden must be at least 1, got 0"):
        RollTokenMLP(0)
