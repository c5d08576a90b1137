"""ResNet's basic block of separable convolutions: its equations, and what each freeze pattern trains."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from objectives.counting import count
from searchspaces import Architecture, Network, architecture_cost, build
from searchspaces.blocks.separable_basic import BasicBlock
from searchspaces.freezing import FREEZE_PATTERNS, Freeze
from searchspaces.layers.separable import SeparableConvolution
from searchspaces.spaces.resnet import resnet
from searchspaces.stems.conv import ConvStem

every_pattern = pytest.mark.parametrize("pattern", FREEZE_PATTERNS)


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


def test_parameters_of_a_block_add_up_by_hand() -> None:
    cost = BasicBlock(12, stride=2, multiplier=4).cost((8, 6, 6))
    first = 8 * 4 * 9 + 8 * 4 * 12 + 2 * 12
    second = 12 * 4 * 9 + 12 * 4 * 12 + 2 * 12
    assert cost.parameters == first + second + (8 * 12 + 2 * 12)


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


@pytest.mark.parametrize("variant", ["plain", "mobilenet"])
def test_the_reference_form_computes_what_the_fused_network_does(variant: str) -> None:
    architecture = small("chans", variant=variant)
    fused, reference = build(architecture).double().eval(), build(architecture, fused=False).double().eval()
    assert any(m.fused for m in fused.modules() if isinstance(m, SeparableConvolution)) == (variant == "plain")
    assert not any(m.fused for m in reference.modules() if isinstance(m, SeparableConvolution))
    x = torch.rand(2, 3, 8, 6, dtype=torch.float64)
    torch.testing.assert_close(fused(x), reference(x), atol=1e-10, rtol=0)


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
