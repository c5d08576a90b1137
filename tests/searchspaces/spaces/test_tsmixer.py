"""The space of TSMixer networks (2306.09364), and the parameters of their parts by formula."""

from functools import partial
from typing import Any

import pytest
import torch

from nas.testing.costs import check_cost
from searchspaces import Architecture, Value, architecture_cost, build
from searchspaces.blocks.tsmixer import TSMixerBlock
from searchspaces.heads import ForecastHead
from searchspaces.known.series import dlinear, patchtsmixer
from searchspaces.operators.axis_mlp import AxisMLP
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.each_row import EachRow
from searchspaces.operators.gated_mlp import GatedChannelMLP
from searchspaces.operators.identity import NoTokenMixing
from searchspaces.spaces.tsmixer import tsmixer
from searchspaces.stems.decomposition import DecompositionStem
from searchspaces.stems.series import SeriesStem

PICKS: dict[str, Value] = {
    "dim": 8,
    "depth": 2,
    "patch": 8,
    "overlap": "off",
    "mode": "common_channel",
    "time": "mlp",
    "gate": "softmax",
    "expansion": 2.0,
    "reversible": "on",
    "freeze": "full",
    "norm": "layer",
}


def decoded(variates: int = 4, **changes: Value) -> Architecture:
    picks = {**PICKS, **changes}
    return tsmixer((1, variates, 48), 1, (1, variates, 24)).narrow(picks).decode(picks)


def of_axis(q: int, e: int, d: int) -> int:
    """Parameters of one mixer along an axis of length q with expansion e, its gate, and a norm over d channels."""
    return 2 * e * q**2 + e * q + q + q**2 + q + 2 * d


@pytest.mark.parametrize(("d", "n", "m", "layers"), [(8, 4, 1, 3), (16, 6, 7, 2)])
def test_parameters_are_those_of_the_formula(d: int, n: int, m: int, layers: int) -> None:
    horizon = 16
    common = patchtsmixer(d, layers, variates=m, context=8 * n, horizon=horizon)
    stem, head = 8 * d + d, n * d * horizon + horizon
    assert architecture_cost(common).parameters == stem + layers * (of_axis(n, 2, d) + of_axis(d, 2, d)) + head
    mixed = patchtsmixer(d, layers, variates=m, context=8 * n, horizon=horizon, mixes=True)
    assert architecture_cost(mixed).parameters - architecture_cost(common).parameters == layers * of_axis(m, 2, d)


def test_a_row_of_the_product_takes_2_e_plus_1_squares() -> None:
    for axis, rows, q in (("rows", 8 * 5, 6), ("columns", 8 * 6, 5)):
        assert AxisMLP(axis, 2.0).cost((8, 5, 6)).macs == rows * (2 * 2 + 1) * q**2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mode": "mix_channel", "gate": "scaled"},
        {"time": "s6", "overlap": "on", "gate": "none"},
        {"time": "depthwise", "mode": "mix_channel", "freeze": "chans"},
        {"time": "identity", "gate": "sigmoid", "reversible": "off"},
        {"patch": 5, "time": "fc", "freeze": "space", "norm": "batch"},
    ],
    ids=str,
)
def test_a_network_costs_what_counting_gives(changes: dict[str, Any]) -> None:
    network = decoded(**changes)
    assert network.outputs == (1, 4, 24)
    assert Architecture.from_json(network.to_json()).key == network.key
    check_cost(architecture_cost(network), partial(build, network), network.input)


def test_variates_do_not_see_each_other_unless_they_are_mixed() -> None:
    for mode, seen in (("common_channel", 1), ("mix_channel", 4)):
        network, x = build(decoded(mode=mode)).eval(), torch.randn(1, 1, 4, 48)
        y = x.clone()
        y[0, 0, 2] += torch.randn(48)
        with torch.no_grad():
            moved = (network(y) - network(x)).abs().amax((0, 1, 3)) > 1e-6
        assert int(moved.sum()) == seen


def test_one_variate_is_mixed_with_nothing() -> None:
    assert decoded(1, mode="mix_channel").key == decoded(1).key
    assert decoded(2, mode="mix_channel").key != decoded(2).key


def test_a_scaled_gate_is_the_softmax_gate_times_its_length() -> None:
    x = torch.randn(2, 3, 4, 6)
    torch.manual_seed(0)
    one = AxisMLP("rows", gate="softmax").build((3, 4, 6))
    torch.manual_seed(0)
    other = AxisMLP("rows", gate="scaled").build((3, 4, 6))
    torch.testing.assert_close(other(x), 6 * one(x))


def test_the_latest_steps_fill_the_patches() -> None:
    stem = SeriesStem(1, 4, 4).build((1, 2, 10))
    x = torch.randn(1, 1, 2, 10)
    y = x.clone()
    y[..., :2] = 0  # 10 = 2 + 4 + 4
    assert torch.equal(stem(x), stem(y))
    assert stem(x).shape == (1, 1, 2, 2)


def test_a_mixer_of_each_row_does_to_it_what_it_does_to_an_image_of_it() -> None:
    rows, x = EachRow(Depthwise(3)).build((4, 3, 8)), torch.randn(2, 4, 3, 8)
    torch.testing.assert_close(rows(x)[:, :, 1:2], rows.op(x[:, :, 1:2]))
    with pytest.raises(
        ValueError, match="op of each_row must be one of depthwise, pooling, s6, spatial_fc, token_mlp, got"
    ):
        EachRow(NoTokenMixing())


def test_trend_and_remainder_are_the_series() -> None:
    x = torch.arange(60.0).view(1, 1, 2, 30)
    remainder, trend = DecompositionStem(5).build((1, 2, 30))(x).split(1, 1)
    torch.testing.assert_close(remainder + trend, x)
    torch.testing.assert_close(trend[..., 2:-2], x[..., 2:-2])  # of a line, away from its ends
    assert trend[0, 0, 0, 0] == pytest.approx((0 + 0 + 0 + 1 + 2) / 5)


def test_dlinear_is_one_map_of_the_trend_and_one_of_the_remainder() -> None:
    assert architecture_cost(dlinear()).parameters == 2 * 96 * 96 + 96
    network = dlinear(context=48, horizon=24)
    check_cost(architecture_cost(network), partial(build, network), network.input)


def test_a_block_without_mixed_variates_is_a_plain_one() -> None:
    block = TSMixerBlock(AxisMLP(), GatedChannelMLP(), freeze="chans", variate=AxisMLP("columns"))
    assert block.canonical().freeze == "chans"
    silent = TSMixerBlock(NoTokenMixing(), GatedChannelMLP(), freeze="chans")
    assert silent.canonical().freeze == "full"  # nothing spatial is there to be frozen
    with pytest.raises(ValueError, match="fused is for blocks of two mixers"):
        TSMixerBlock(fused=True)
    assert isinstance(patchtsmixer().head, ForecastHead)
