"""Sparse linear maps: which connections are drawn, and lists of them against the dense matrix."""

import math

import pytest
import torch

from searchspaces.layers.draws import Words
from searchspaces.layers.sparse import ListedLinear, Mask, MaskedLinear, draw_mask, draw_places


@pytest.mark.parametrize("p", [0.01, 0.3, 1.0])
def test_masks_have_the_density_that_was_asked_for(p: float) -> None:
    assert int(draw_mask(200, 300, p, "exact", Words(0)).sum()) == round(p * 60_000)
    assert draw_mask(200, 300, p, "fan_in", Words(0)).sum(1).tolist() == [round(p * 300)] * 200
    tolerance = 4 * math.sqrt(p * (1 - p) / 60_000)
    assert draw_mask(200, 300, p, "bernoulli", Words(0)).float().mean().item() == pytest.approx(p, abs=tolerance + 1e-9)


@pytest.mark.parametrize("mask", ["exact", "fan_in"])
@pytest.mark.parametrize("p", [0.2, 0.4])  # few of many, and many
def test_every_connection_is_as_likely_as_any_other(mask: Mask, p: float) -> None:
    words, draws = Words(0), 3000
    shares = sum(draw_mask(4, 5, p, mask, words).double() for _ in range(draws)) / draws
    assert (shares - p).abs().max() < 4 * math.sqrt(p * (1 - p) / draws)


def test_an_output_has_at_least_one_connection_of_a_fixed_fan_in() -> None:
    assert draw_mask(7, 5, 1e-3, "fan_in", Words(0)).sum(1).tolist() == [1] * 7


def test_connections_of_a_matrix_that_would_not_fit_into_memory_are_drawn() -> None:
    places = draw_places(2**18, 2**18, 2**-30, "exact", Words(0))
    assert len(set(places.tolist())) == len(places) == 64


def test_weights_start_with_the_variance_of_their_connections() -> None:
    torch.manual_seed(0)
    for layer in (MaskedLinear(400, 500, 0.1, "exact"), ListedLinear(400, 500, 0.1, "exact")):
        assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(0.1 * 400), rel=0.02)
        assert layer.bias.abs().sum() == 0


@pytest.mark.parametrize(
    ("mask", "density"), [("exact", 0.3), ("exact", 0.02), ("fan_in", 0.3)], ids=["exact", "empty rows", "fan-in"]
)
def test_lists_compute_what_their_matrix_does_with_its_gradients(mask: Mask, density: float) -> None:
    torch.manual_seed(0)
    layer = ListedLinear(12, 9, density, mask).double()
    layer.bias.data.normal_()
    x = torch.randn(5, 12, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(layer(x), x @ layer.effective().to_dense().T + layer.bias)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, *layer.parameters()))


def test_frozen_lists_pass_the_gradient_on() -> None:
    layer = ListedLinear(12, 9, 0.3, "exact").requires_grad_(False)
    x = torch.randn(5, 12, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.effective().to_dense().sum(0).expand(5, 12))
    assert layer.weight.grad is None


def test_lists_take_halves_and_return_the_precision_of_their_weights() -> None:
    layer, x = ListedLinear(12, 9, 0.3, "exact"), torch.randn(5, 12).bfloat16()
    assert layer(x).dtype == torch.float32
    torch.testing.assert_close(layer(x), layer(x.float()))
    assert layer.bfloat16()(x).dtype == torch.bfloat16
