"""Heads: classifiers that average over positions, and dense ones that return a patch for each token."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from nas.testing.costs import check_cost
from searchspaces import SEARCH_SPACES, Architecture, Shape, architecture_cost, build
from searchspaces.heads import AverageHead, DenseHead, ForecastHead, RowMap, Unembedding, fitted
from searchspaces.known.convmixer import convmixer

CLASSIFIER = convmixer(8, 2, kernel=3, patch=2, side=8, classes=10)
DENSE = fitted(CLASSIFIER, (3, 8, 8))


def test_the_average_head_gives_the_mean_of_every_channel() -> None:
    x = torch.arange(24.0).view(2, 3, 2, 2)
    assert AverageHead().build((3, 2, 2))(x).tolist() == [[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]]


def test_the_average_head_can_norm_the_mean() -> None:
    x = torch.arange(24.0).view(2, 3, 2, 2)
    mean = x.mean((2, 3))
    expected = (mean - mean.mean(1, keepdim=True)) / mean.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(AverageHead("layer", norm_last=True).build((3, 2, 2))(x), expected)


def test_every_token_becomes_its_patch_of_every_channel() -> None:
    layer = Unembedding((1, 1, 2), (2, 2, 6))  # two tokens, patches of 2 x 3 in two channels: 12 values of one feature
    with torch.no_grad():
        layer.weight.copy_(torch.arange(12.0).view(12, 1, 1, 1))
        layer.bias.zero_()  # type: ignore[union-attr]
    y = layer(torch.tensor([[[[1.0, 10.0]]]]))
    assert y[0, 0].tolist() == [[0, 1, 2, 0, 10, 20], [3, 4, 5, 30, 40, 50]]
    assert y[0, 1].tolist() == [[6, 7, 8, 60, 70, 80], [9, 10, 11, 90, 100, 110]]


@pytest.mark.parametrize(
    ("features", "outputs"), [((8, 4, 4), (3, 8, 8)), ((8, 4, 2), (1, 4, 8)), ((8, 4, 4), (2, 4, 4))]
)
def test_the_cost_of_an_unembedding_is_what_counting_gives(features: Shape, outputs: Shape) -> None:
    check_cost(DenseHead().readout_cost(features, outputs), partial(Unembedding, features, outputs), features)


@pytest.mark.parametrize("kind", sorted(SEARCH_SPACES.keys() - {"timemixer"}))  # its tokens are no positions
def test_networks_of_every_space_can_return_images_at_their_exact_cost(kind: str) -> None:
    space = SEARCH_SPACES[kind]((1, 32, 32), 1)
    network = fitted(space.decode(space.first), (1, 32, 32))
    with torch.device("meta"):
        built = build(network)
        assert built(torch.empty(2, 1, 32, 32)).shape == (2, 1, 32, 32)
    assert sum(p.numel() for p in built.parameters()) == architecture_cost(network).parameters


def test_each_row_of_tokens_becomes_its_rows_of_values() -> None:
    layer = RowMap((1, 2, 2), (1, 4, 3))  # two rows of two tokens, each to two rows of three values
    with torch.no_grad():
        layer.weight.copy_(torch.stack([torch.arange(6.0), torch.zeros(6)], 1))  # of the first token alone
        layer.bias.zero_()
    y = layer(torch.tensor([[[[1.0, 7.0], [10.0, 7.0]]]]))
    assert y[0, 0].tolist() == [[0, 1, 2], [3, 4, 5], [0, 10, 20], [30, 40, 50]]


@pytest.mark.parametrize(
    ("features", "outputs"), [((8, 4, 4), (1, 4, 24)), ((8, 2, 5), (3, 6, 7)), ((1, 1, 1), (1, 1, 1))]
)
def test_the_cost_of_a_map_of_rows_is_what_counting_gives(features: Shape, outputs: Shape) -> None:
    check_cost(ForecastHead().readout_cost(features, outputs), partial(RowMap, features, outputs), features)


@pytest.mark.parametrize("reversible", [False, True])
def test_a_network_that_forecasts_costs_what_counting_gives(reversible: bool) -> None:
    network = fitted(CLASSIFIER, (1, 4, 24), input=(1, 4, 48), aligned=False)
    assert network.head == ForecastHead(reversible=True)
    network = replace(network, head=replace(network.head, reversible=reversible))
    assert Architecture.from_json(network.to_json()) == network
    check_cost(architecture_cost(network), partial(build, network), network.input)


def test_a_reversible_forecast_moves_and_grows_with_its_row() -> None:
    network = build(fitted(CLASSIFIER, (1, 4, 24), input=(1, 4, 48), aligned=False)).eval()
    x = torch.randn(2, 1, 4, 48)
    with torch.no_grad():
        torch.testing.assert_close(network(3 * x + 5), 3 * network(x) + 5, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", sorted(SEARCH_SPACES))
def test_networks_of_every_space_forecast_at_their_exact_cost(kind: str) -> None:
    space = SEARCH_SPACES[kind]((1, 32, 32), 1)
    network = fitted(space.decode(space.first), (1, 32, 12), aligned=False)
    with torch.device("meta"):
        built = build(network)
        assert built(torch.empty(2, 1, 32, 32)).shape == (2, 1, 32, 12)
    assert sum(p.numel() for p in built.parameters()) == architecture_cost(network).parameters


def test_rows_of_tokens_that_do_not_divide_the_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="rows of tokens must divide the rows of the outputs, got 4 for outputs of 7"):
        architecture_cost(replace(DENSE, head=ForecastHead(), outputs=(1, 7, 24)))


def test_a_reversible_head_needs_the_rows_that_it_is_given() -> None:
    with pytest.raises(ValueError, match="a reversible head returns as many rows as it is given"):
        replace(DENSE, head=ForecastHead(reversible=True), outputs=(3, 4, 8))


def test_an_architecture_of_values_is_written_with_outputs_and_read_back() -> None:
    document = DENSE.to_json()
    assert list(document) == ["input", "outputs", "stem", "stages", "head"]
    assert document["outputs"] == [3, 8, 8]
    assert Architecture.from_json(document) == DENSE
    assert DENSE.key != CLASSIFIER.key
    assert list(CLASSIFIER.to_json()) == ["input", "classes", "stem", "stages", "head"]


def test_outputs_and_head_change_together_and_back() -> None:
    assert fitted(DENSE, 10) == CLASSIFIER
    assert fitted(fitted(replace(CLASSIFIER, head=AverageHead("layer")), (3, 8, 8)), 10).head == AverageHead("layer")


def test_a_network_of_values_has_no_classes() -> None:
    with pytest.raises(ValueError, match="a network of 3x8x8 values has no classes"):
        _ = DENSE.classes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": 10}, r"a network of 10 classes needs a head that is not dense, got dense\."),
        ({"head": AverageHead()}, r"a network of 3x8x8 values needs a dense head, got average\."),
        ({"outputs": (3, 0, 8)}, r"outputs must be \(C, H, W\), each at least 1"),
    ],
)
def test_outputs_and_head_must_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(DENSE, **changes)


def test_tokens_that_do_not_divide_the_outputs_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"tokens must divide the sides of the outputs, got 4x4 tokens for outputs of 9x9"
    ):
        architecture_cost(replace(DENSE, outputs=(3, 9, 9)))
