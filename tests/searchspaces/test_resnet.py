"""Separable ResNet: published sizes, what a block computes, what is trained, and its search space."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from objectives.counting import count
from searchspaces import Architecture, Network, Value, architecture_cost, build
from searchspaces.blocks.separable_basic import BasicBlock
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.known import resnet18, resnet20
from searchspaces.layers.separable import SeparableConvolution
from searchspaces.spaces.resnet import resnet, separable_resnet
from searchspaces.stems.conv import ConvStem

every_pattern = pytest.mark.parametrize("pattern", FREEZE_PATTERNS)

KNOWN = [
    (resnet18, 9, 11_448_714, 592_913_408, 11_173_962, 291_210),
    (resnet18, 1, 1_439_626, 73_049_088, 1_409_098, 46_986),
    (resnet20, 9, 323_018, 54_250_112, 272_474, 53_194),
    (resnet20, 1, 40_522, 6_654_592, 34_906, 8_266),
]
"""Layout, multiplier, parameters, MACs unfused, parameters trained in ``chans`` and in ``space``; CIFAR, 10 classes."""

every_known = pytest.mark.parametrize(
    ("layout", "multiplier", "parameters", "macs", "chans", "space"),
    KNOWN,
    ids=[f"{layout.__name__} d={d}" for layout, d, *_ in KNOWN],
)


def small(pattern: Freeze, **fields: object) -> Architecture:
    blocks = [BasicBlock(dim, multiplier=2, freeze=pattern, **fields) for dim in (4, 6)]  # type: ignore[arg-type]
    return resnet((3, 8, 6), 5, blocks, (1, 2))


def trained(model: Network) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State before and after some AdamW steps over all parameters, frozen ones included."""
    before, generator = copy.deepcopy(model.state_dict()), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(3):
        images, labels = torch.rand(8, 3, 8, 6, generator=generator), torch.randint(5, (8,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model.train()(images), labels).backward()
        optimizer.step()
    return before, model.state_dict()


# Published sizes


@every_known
def test_sizes_are_those_of_the_published_layouts(
    layout: Callable[..., Architecture], multiplier: int, parameters: int, macs: int, chans: int, space: int
) -> None:
    for pattern, learned in (("full", parameters), ("chans", chans), ("space", space)):
        architecture = layout(multiplier, pattern)
        cost = architecture_cost(architecture)
        assert (cost.parameters, cost.trainable_parameters, cost.macs) == (parameters, learned, macs)
        with torch.device("meta"):
            counts = count(build(architecture, fused=False), (3, 32, 32))
            executed = count(build(architecture), (3, 32, 32)).macs
        assert (counts.parameters, counts.trainable_parameters, counts.macs) == (parameters, learned, macs)
        assert executed == cost.macs_executed


@pytest.mark.parametrize(
    ("layout", "fused", "pointwise"), [(resnet18, 555_422_720, 10_985_472), (resnet20, 40_813_184, 267_264)]
)
def test_fused_layouts_run_dense_convolutions_and_one_einsum_for_each(
    layout: Callable[..., Architecture], fused: int, pointwise: int
) -> None:
    einsum = 9 * pointwise  # every weight of the 1x1 convolutions meets the nine taps of its filter
    assert architecture_cost(layout(9, "chans")).macs_executed == fused + einsum


def test_parameters_of_a_block_add_up_by_hand() -> None:
    cost = BasicBlock(12, stride=2, multiplier=4).cost((8, 6, 6))
    first = 8 * 4 * 9 + 8 * 4 * 12 + 2 * 12
    second = 12 * 4 * 9 + 12 * 4 * 12 + 2 * 12
    assert cost.parameters == first + second + (8 * 12 + 2 * 12)


# What is computed


def test_the_conv_stem_is_a_convolution_a_norm_and_a_relu() -> None:
    stem, x = ConvStem(5, stride=2).build((3, 7, 4)), torch.randn(2, 3, 7, 4)
    weight = next(stem.parameters())
    expected = F.relu(F.batch_norm(F.conv2d(x, weight, stride=2, padding=1), None, None, training=True))
    torch.testing.assert_close(stem(x), expected)
    assert expected.shape[1:] == ConvStem(5, stride=2).output((3, 7, 4))


def norm(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True)


@pytest.mark.parametrize(("dim", "stride"), [(6, 1), (6, 2), (8, 1)])
def test_a_basic_block_computes_what_was_published(dim: int, stride: int) -> None:
    block, x = BasicBlock(dim, stride, multiplier=3).build((6, 7, 4)).train(), torch.randn(4, 6, 7, 4)
    first, second = (module for module in block.modules() if isinstance(module, SeparableConvolution))
    y = F.relu(norm(F.conv2d(x, first.kernel(), stride=stride, padding=1)))
    y = norm(F.conv2d(y, second.kernel(), padding=1))
    reshaped = [m for m in block.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.groups == 1]
    shortcut = [m for m in reshaped if m.in_channels == 6 and m is not first.pointwise]
    assert len(shortcut) == (dim != 6 or stride > 1)
    around = norm(F.conv2d(x, shortcut[0].weight, stride=stride)) if shortcut else x
    torch.testing.assert_close(block(x), F.relu(y + around), atol=1e-5, rtol=1e-5)


def test_later_stages_halve_the_grid_once() -> None:
    architecture = resnet20(1)
    shape, shapes = architecture.stem.output(architecture.input), []
    for stage in architecture.stages:
        for _ in range(stage.depth):
            shape = stage.block.output(shape)
            shapes.append(shape)
    assert shapes == [(16, 32, 32)] * 3 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3


@pytest.mark.parametrize("variant", ["plain", "mobilenet"])
def test_the_reference_form_computes_what_the_fused_network_does(variant: str) -> None:
    architecture = small("chans", variant=variant)
    fused, reference = build(architecture).double().eval(), build(architecture, fused=False).double().eval()
    assert any(m.fused for m in fused.modules() if isinstance(m, SeparableConvolution)) == (variant == "plain")
    assert not any(m.fused for m in reference.modules() if isinstance(m, SeparableConvolution))
    x = torch.rand(2, 3, 8, 6, dtype=torch.float64)
    torch.testing.assert_close(fused(x), reference(x), atol=1e-10, rtol=0)


# What is trained


@every_pattern
@pytest.mark.parametrize("freeze_norm", [False, True])
def test_training_leaves_frozen_tensors_as_they_were_and_moves_all_others(pattern: Freeze, freeze_norm: bool) -> None:
    before, after = trained(build(small(pattern, freeze_norm=freeze_norm)))
    frozen = {"full": (), "chans": ("depthwise",), "space": ("pointwise", "shortcut.conv")}[pattern]
    for name, tensor in before.items():
        affine = "norm" in name and name.endswith(("weight", "bias"))  # stem and classifier have no such names
        fixed = name.startswith("normalize.") or any(f in name for f in frozen) or (freeze_norm and affine)
        assert torch.equal(tensor, after[name]) == fixed, name


@every_pattern
def test_freezing_the_norms_is_in_the_cost(pattern: Freeze) -> None:
    for variant in ("plain", "mobilenet"):
        architecture = small(pattern, freeze_norm=True, variant=variant)
        with torch.device("meta"):
            counts = count(build(architecture), architecture.input)
        assert architecture_cost(architecture).trainable_parameters == counts.trainable_parameters


@every_pattern
def test_gradients_pass_through_frozen_layers_to_the_image(pattern: Freeze) -> None:
    model, x = build(small(pattern)), torch.rand(4, 3, 8, 6, requires_grad=True)
    model(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())


@every_pattern
def test_a_pattern_changes_what_is_trained_not_what_is_computed(pattern: Freeze) -> None:
    x = torch.rand(2, 3, 8, 6)
    torch.testing.assert_close(build(small(pattern)).eval()(x), build(small("full")).eval()(x), atol=1e-5, rtol=1e-5)


def test_a_checkpoint_restores_frozen_banks() -> None:
    architecture, x = small("chans", filters="smooth(1)"), torch.rand(2, 3, 8, 6)
    saved, other = build(architecture, seed=1).eval(), build(architecture, seed=2).eval()
    assert not torch.allclose(saved(x), other(x))
    other.load_state_dict(saved.state_dict())
    assert torch.equal(saved(x), other(x))


def test_a_wrong_block_is_answered_with_what_must_hold() -> None:
    with pytest.raises(ValueError, match="freeze must be one of full, chans, space, got 'half'"):
        BasicBlock(8, freeze="half")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kernel must be odd"):
        BasicBlock(8, kernel=2)
    with pytest.raises(ValueError, match="dim and stride must be at least 1, got dim=0, stride=1"):
        ConvStem(0)


def test_equal_banks_have_equal_keys() -> None:
    assert small("chans", filters="heads(1)").key == small("chans", filters="same").key
    assert small("chans", filters="smooth(1.0)").key == small("chans", filters="smooth(1)").key
    assert small("chans").key != small("full").key


# The search space

PICKS: dict[str, Value] = {
    "layout": "resnet20",
    "multiplier": 9,
    "width": 0.5,
    "variant": "plain",
    "norms": "trained",
    **{f"s{n}.freeze": "chans" for n in range(1, 5)},
    **{f"s{n}.filters": "random" for n in range(1, 5)},
}


def decoded(*, filters_as_init: bool = False, **changes: Value) -> Architecture:
    space = separable_resnet((3, 16, 16), 10, filters_as_init=filters_as_init)
    picks = {**PICKS, **{name.replace("_", "."): value for name, value in changes.items()}}
    return space.narrow(picks).decode(picks)


def test_the_space_holds_the_known_layouts() -> None:
    for layout, known in (("resnet18", resnet18), ("resnet20", resnet20)):
        picks = {**PICKS, "layout": layout, "width": 1.0}
        space = separable_resnet((3, 32, 32), 10).narrow(picks)
        assert space.decode(picks).key == known(9, "chans").key


def test_width_scales_every_stage() -> None:
    assert [stage.block.output((8, 16, 16))[0] for stage in decoded().stages] == [8, 16, 16, 32, 32]


def test_filters_matter_where_they_stay_or_are_asked_for() -> None:
    assert decoded(s1_filters="box").key != decoded().key
    for freeze in ("full", "space"):
        assert decoded(s1_freeze=freeze, s1_filters="box").key == decoded(s1_freeze=freeze).key
        one, other = (decoded(filters_as_init=True, s1_freeze=freeze, s1_filters=f) for f in ("box", "random"))
        assert one.key != other.key


def test_orthogonal_filters_need_nine_for_each_channel() -> None:
    assert decoded(s1_filters="orthogonal").key != decoded().key
    assert decoded(s1_filters="orthogonal", multiplier=4).key == decoded(multiplier=4).key


def test_a_filter_for_each_multiplier_is_one_filter_at_multiplier_one() -> None:
    one, same = (decoded(multiplier=1, s1_filters=f) for f in ("same_per_multiplier", "same"))
    assert one.key == same.key
    assert decoded(s1_filters="same_per_multiplier").key != decoded(s1_filters="same").key


def test_a_stage_that_is_not_there_makes_no_difference() -> None:
    assert decoded(s4_freeze="space", s4_filters="box").key == decoded().key
    assert decoded(layout="resnet18", s4_freeze="space").key != decoded(layout="resnet18").key


def test_frozen_norms_and_norms_between_make_other_networks() -> None:
    assert len({decoded().key, decoded(norms="frozen").key, decoded(variant="mobilenet").key}) == 3


def test_stages_have_patterns_of_their_own() -> None:
    blocks = [stage.block for stage in decoded(s2_freeze="space").stages]
    assert [block.freeze for block in blocks if isinstance(block, BasicBlock)] == [
        "chans",
        "space",
        "space",
        "chans",
        "chans",
    ]
    first = blocks[0]
    assert isinstance(first, BasicBlock)
    assert replace(first, dim=16, stride=2, freeze="space") == blocks[1]


@pytest.mark.parametrize(
    ("choice", "value", "message"),
    [
        ("width", 0.0, r"choice 'width' cannot be 0\.0 .* Allowed: a number above 0\.0 and up to 8\.0"),
        ("s1.filters", "heads(0.5)", r"cannot be 'heads\(0\.5\)' .* Allowed: random, .*heads\(NUMBER\), .*orthogonal"),
        ("multiplier", 0, r"choice 'multiplier' cannot be 0 .* Allowed: 1 to 64"),
    ],
)
def test_a_value_that_is_not_allowed_is_answered_with_those_that_are(choice: str, value: Value, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        separable_resnet((3, 16, 16), 10).narrow({choice: value})
