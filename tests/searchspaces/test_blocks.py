"""Blocks: what is computed, and what each freeze pattern trains."""

import copy
import dataclasses
import itertools
import json
import random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces import Architecture, Network, Stage, build
from searchspaces.architecture import BLOCKS, DOWNSAMPLES, HEADS, STEMS, Shape, decode, encode
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer, freeze
from searchspaces.heads import AverageHead
from searchspaces.operators.depthwise import Depthwise
from searchspaces.operators.pointwise import Pointwise
from searchspaces.stems.patch import PatchStem

FROZEN: dict[str, set[str]] = {
    "full": set(),
    "chans": {"token.conv.weight", "token.conv.bias"},
    "space": {"channel.conv.weight", "channel.conv.bias"},
}
every_pattern = pytest.mark.parametrize("pattern", FREEZE_PATTERNS)


def network(pattern: Freeze) -> Network:
    block = ConvMixerBlock(token=Depthwise(3), freeze=pattern)
    return build(Architecture((3, 8, 8), 4, PatchStem(6, 2), (Stage(block, 2),), AverageHead()))


def trained(model: Network, steps: int = 3) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State before and after some AdamW steps over all parameters, frozen ones included."""
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        images, labels = torch.rand(16, 3, 8, 8, generator=generator), torch.randint(4, (16,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model.train()(images), labels).backward()
        optimizer.step()
    return before, model.state_dict()


def test_every_pattern_is_described_here() -> None:
    assert set(FROZEN) == set(FREEZE_PATTERNS)


@every_pattern
def test_a_pattern_freezes_the_mixing_it_names_and_nothing_else(pattern: Freeze) -> None:
    block = ConvMixerBlock(freeze=pattern).build((6, 8, 8))
    assert {name for name, p in block.named_parameters() if not p.requires_grad} == FROZEN[pattern]


@every_pattern
def test_training_leaves_frozen_tensors_as_they_were_and_moves_all_others(pattern: Freeze) -> None:
    before, after = trained(network(pattern))
    for name, tensor in before.items():
        fixed = name.startswith("normalize.") or name.split(".", 2)[-1] in FROZEN[pattern]
        assert torch.equal(tensor, after[name]) == fixed, name


@every_pattern
def test_norms_are_trained_and_their_statistics_follow_the_data(pattern: Freeze) -> None:
    before, after = trained(network(pattern))
    norms = [name for name in before if "norm." in name]
    assert {name.rsplit(".", 1)[1] for name in norms} == {
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    assert not any(torch.equal(before[name], after[name]) for name in norms)


@every_pattern
def test_gradients_pass_through_frozen_layers(pattern: Freeze) -> None:
    model, x = network(pattern), torch.rand(4, 3, 8, 8, requires_grad=True)
    model(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())


@every_pattern
def test_a_pattern_changes_what_is_trained_not_what_is_computed(pattern: Freeze) -> None:
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(network(pattern).eval()(x), network("full").eval()(x))


def test_an_unknown_pattern_is_answered_with_the_known_ones() -> None:
    message = r"freeze must be one of full, chans, space, got 'half'\."
    with pytest.raises(ValueError, match=message):
        ConvMixerBlock(freeze="half")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        freeze("half", ())  # type: ignore[arg-type]


def gradient(y: Tensor, x: Tensor) -> Tensor:
    """Of a fixed random combination of the outputs ``y`` with respect to the input ``x``."""
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    return torch.autograd.grad((y * weights).sum(), x)[0]


@every_pattern
def test_a_convmixer_block_computes_what_was_published_and_its_gradient(pattern: Freeze) -> None:
    block = ConvMixerBlock(token=Depthwise(5), freeze=pattern).build((6, 8, 8)).train()
    token, channel = block.token.conv, block.channel.conv
    x = torch.randn(4, 6, 8, 8, requires_grad=True)
    y = x + F.batch_norm(F.gelu(F.conv2d(x, token.weight, token.bias, padding=2, groups=6)), None, None, training=True)
    y = F.batch_norm(F.gelu(F.conv2d(y, channel.weight, channel.bias)), None, None, training=True)
    torch.testing.assert_close(block(x), y)
    torch.testing.assert_close(gradient(block(x), x), gradient(y, x))


def test_blocks_of_a_stage_have_weights_of_their_own() -> None:
    first, second = (dict(block.named_parameters()) for block in network("full").blocks)
    assert not torch.equal(first["token.conv.weight"], second["token.conv.weight"])
    assert not torch.equal(first["channel.conv.weight"], second["channel.conv.weight"])


# The contract of everything that stands around the mixers

NODES: dict[str, Any] = {
    f"{spec.noun} {name}": spec for table in (BLOCKS, STEMS, DOWNSAMPLES, HEADS) for name, spec in table.items()
}
every_node = pytest.mark.parametrize("kind", NODES.values(), ids=NODES.keys())
every_shape = pytest.mark.parametrize("shape", [(6, 8, 8), (8, 4, 10)], ids=str)


def variants(kind: Any, shape: Shape, limit: int = 4) -> list[Any]:
    """The spec with its defaults, if every field has one, and a seeded sample of the combinations of its options."""
    options = kind.options(shape)
    combinations = list(itertools.product(*options.values()))
    sample = random.Random(0).sample(combinations, min(limit, len(combinations)))
    defaults = all(field.default is not dataclasses.MISSING for field in dataclasses.fields(kind))
    return ([kind()] if defaults else []) + [kind(**dict(zip(options, values, strict=True))) for values in sample]


@every_node
@every_shape
def test_the_promised_output_is_what_comes_out(kind: Any, shape: Shape) -> None:
    for spec in variants(kind, shape):
        with torch.device("meta"):
            y = spec.build(shape)(torch.empty(2, *shape))
        assert len(y) == 2
        assert (*y.shape[1:], 1, 1)[:3] == spec.output(shape)


@every_node
@every_shape
def test_a_node_is_finite_and_lets_gradients_through(kind: Any, shape: Shape) -> None:
    for spec in variants(kind, shape):
        torch.manual_seed(0)
        node, x = spec.build(shape), torch.randn(3, *shape, requires_grad=True)
        y = node(x)
        (y * torch.randn(y.shape)).sum().backward()
        assert torch.isfinite(y).all()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
        assert x.grad.abs().sum() > 0


@every_node
def test_the_canonical_form_of_a_node_is_its_own_and_builds_the_same(kind: Any) -> None:
    for spec in variants(kind, (6, 8, 8)):
        canonical, x = spec.canonical(), torch.rand(2, 6, 8, 8)
        assert canonical.canonical() == canonical
        outputs = []
        for node in (spec, canonical):
            torch.manual_seed(0)
            outputs.append(node.build((6, 8, 8)).eval()(x))
        assert torch.equal(*outputs)


@every_node
def test_a_node_keeps_itself_through_json(kind: Any) -> None:
    for spec in variants(kind, (6, 8, 8), limit=50):
        assert decode(kind.__mro__[1], json.loads(json.dumps(encode(spec))), "node") == spec


@pytest.mark.parametrize("kind", BLOCKS.values(), ids=BLOCKS.keys())
@every_pattern
def test_every_block_freezes_what_its_mixers_say(kind: Any, pattern: Freeze) -> None:
    for spec in variants(kind, (6, 8, 8)):
        block = dataclasses.replace(spec, freeze=pattern).build((6, 8, 8))
        mixers = [module for module in block.modules() if isinstance(module, Mixer)]
        method = {"chans": "spatial_parameters", "space": "channel_parameters"}.get(pattern)
        frozen = {id(p) for mixer in mixers if method for p in getattr(mixer, method)()}
        assert {id(p) for p in block.parameters() if not p.requires_grad} == frozen


@pytest.mark.parametrize("kind", BLOCKS.values(), ids=BLOCKS.keys())
def test_freezing_changes_neither_outputs_nor_gradients_of_the_input(kind: Any) -> None:
    """In double precision: what is frozen may be run in another form, and rounding must not flip a ReLU."""
    for spec in variants(kind, (6, 8, 8)):
        x = torch.randn(4, 6, 8, 8, dtype=torch.float64, requires_grad=True)
        results = []
        for pattern in FREEZE_PATTERNS:
            torch.manual_seed(0)
            y = dataclasses.replace(spec, freeze=pattern).build((6, 8, 8)).double()(x)
            results.append((y, gradient(y, x)))
        for y, slope in results[1:]:
            torch.testing.assert_close(y, results[0][0])
            torch.testing.assert_close(slope, results[0][1])


@every_pattern
def test_a_metaformer_block_computes_what_was_published_and_its_gradient(pattern: Freeze) -> None:
    block = MetaFormerBlock(Depthwise(5), Pointwise(), pattern, layer_scale=0.5).build((6, 8, 8))
    token, channel = (module for module in block.modules() if isinstance(module, nn.Conv2d))
    x = torch.randn(4, 6, 8, 8, requires_grad=True)

    def norm(x: Tensor) -> Tensor:
        return (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-6).sqrt()

    y = x + 0.5 * F.conv2d(norm(x), token.weight, token.bias, padding=2, groups=6)
    y = y + 0.5 * F.conv2d(norm(y), channel.weight, channel.bias)
    torch.testing.assert_close(block(x), y)
    torch.testing.assert_close(gradient(block(x), x), gradient(y, x))


def test_the_patch_stem_gives_the_grid_it_promises() -> None:
    stem = PatchStem(dim=5, patch=4)
    assert stem.output((3, 8, 12)) == (5, 2, 3)
    assert stem.build((3, 8, 12))(torch.rand(2, 3, 8, 12)).shape == (2, 5, 2, 3)


def test_the_patch_stem_reads_every_pixel_once() -> None:
    stem = PatchStem(dim=1, patch=2).build((1, 4, 4))
    assert isinstance(stem[0], nn.Conv2d)
    nn.init.ones_(stem[0].weight)
    nn.init.zeros_(stem[0].bias)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert stem[0](x).flatten().tolist() == [0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15]


def test_the_average_head_gives_the_mean_of_every_channel() -> None:
    x = torch.arange(24.0).view(2, 3, 2, 2)
    assert AverageHead().build((3, 2, 2))(x).tolist() == [[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]]


def test_frozen_norms_keep_their_factors_and_follow_the_data_all_the_same() -> None:
    block = ConvMixerBlock(token=Depthwise(3), freeze_norm=True)
    model = build(Architecture((3, 8, 8), 4, PatchStem(6, 2), (Stage(block, 1),), AverageHead()))
    before, after = trained(model)
    for norm in ("blocks.0.token_norm", "blocks.0.channel_norm"):
        assert torch.equal(before[f"{norm}.weight"], after[f"{norm}.weight"])
        assert not torch.equal(before[f"{norm}.running_mean"], after[f"{norm}.running_mean"])
    assert block.cost((6, 4, 4)).trainable_parameters == sum(
        p.numel() for p in block.build((6, 4, 4)).parameters() if p.requires_grad
    )
