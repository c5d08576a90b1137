"""Linear CKA of two networks: against the centred formula, and what must not change it."""

import pytest
import torch
from torch import Tensor

from searchspaces import Architecture, Stage, build
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.heads import AverageHead
from searchspaces.network import Network
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.similarity import linear_cka
from searchspaces.stems.embedding import EmbeddingStem


def mixer(seed: int, depth: int = 2) -> Network:
    stage = Stage(MetaFormerBlock(TokenMLP(1.0), ChannelMLP(1.0)), depth)
    return build(Architecture((1, 8, 8), 3, EmbeddingStem(6, 2, 2), (stage,), AverageHead()), seed=seed)


def images(number: int, seed: int = 0) -> Tensor:
    return torch.rand(number, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_a_network_is_like_itself_layer_by_layer() -> None:
    found = linear_cka(mixer(0), mixer(0), images(40).split(20))
    assert found.rows == found.columns == ("stem", "blocks.0", "blocks.1", "head")
    torch.testing.assert_close(found.cka, found.cka.T)
    assert found.cka.diagonal().tolist() == pytest.approx([1.0] * 4)
    assert found.diagonal == pytest.approx(1)


def test_rotation_and_scale_of_the_features_make_no_difference() -> None:
    one, other, turned = mixer(0), mixer(1), mixer(1)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))
    projection = next(layer for layer in turned.stem.modules() if hasattr(layer, "weight"))
    for name, parameter in projection.named_parameters():
        parameter.data = 3 * torch.tensordot(rotation, parameter.data, 1)
        assert name in ("weight", "bias")
    batches = images(40).split(20)
    before, after = (linear_cka(one, network, batches).cka[:, 0] for network in (other, turned))
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)


def test_many_images_in_one_batch_have_the_cka_of_centred_features() -> None:
    one, other, x = mixer(0), mixer(1), images(400)
    with torch.no_grad():
        a, b = (network.features(x).double() for network in (one, other))
    a, b = a - a.mean(0), b - b.mean(0)
    centred = (a.T @ b).square().sum() / ((a.T @ a).norm() * (b.T @ b).norm())
    assert linear_cka(one, other, [x]).cka[-1, -1].item() == pytest.approx(float(centred), abs=0.02)


def test_small_batches_do_not_bias_it() -> None:
    one, other = mixer(0), mixer(1)
    whole, parts = (linear_cka(one, other, images(400).split(n)).cka for n in (400, 20))
    torch.testing.assert_close(whole, parts, atol=0.05, rtol=0)


def test_a_layer_that_is_constant_has_nothing_in_common_with_any() -> None:
    network = mixer(0)
    for parameter in network.stem.parameters():
        parameter.data.zero_()
    found = linear_cka(mixer(1), network, [images(20)])
    assert found.cka.abs().max() == 0


def test_networks_of_other_depths_have_no_diagonal() -> None:
    found = linear_cka(mixer(0), mixer(0, depth=3), [images(20)])
    assert found.cka.shape == (4, 5)
    assert found.diagonal is None


def test_batches_that_are_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="batches of at least 4 images, got 3"):
        linear_cka(mixer(0), mixer(1), [images(3)])
    with pytest.raises(ValueError, match="CKA needs images, got none"):
        linear_cka(mixer(0), mixer(1), [])
