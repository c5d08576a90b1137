"""Operations counted by hand, and those of published networks."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from objectives.counting import count
from searchspaces import Architecture, Shape, Stage, build
from searchspaces.blocks.convmixer import ConvMixerBlock
from searchspaces.heads import AverageHead
from searchspaces.operators.depthwise import Depthwise
from searchspaces.stems.patch import PatchStem


class Apply(nn.Module):
    """A function as a module; on the meta device because it has no parameters."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def convmixer(
    dim: int, depth: int, kernel: int, patch: int, input: Shape = (3, 32, 32), classes: int = 10
) -> Architecture:
    block = ConvMixerBlock(token=Depthwise(kernel))
    return Architecture(input, classes, PatchStem(dim, patch), (Stage(block, depth),), AverageHead())


def on_meta(model: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return model()


@pytest.mark.parametrize(
    ("architecture", "macs"),
    [
        (convmixer(256, 8, 5, 2), 148_113_920),
        (convmixer(512, 16, 8, 7, (3, 224, 224), 1000), 4_909_420_544),
        (convmixer(128, 8, 8, 1), 201_721_088),
        (convmixer(32, 4, 5, 1), 7_569_728),
    ],
    ids=["256/8", "512/16", "128/8", "32/4"],
)
def test_macs_of_published_convmixers(architecture: Architecture, macs: int) -> None:
    counts = count(on_meta(lambda: build(architecture)), architecture.input)
    assert counts.macs == macs
    assert counts.uncounted == ()
    assert counts.transform_flops == 0


@pytest.mark.parametrize(
    ("model", "macs"),
    [
        (lambda: nn.Conv2d(32, 32, 1), 32 * 32 * 256),
        (lambda: nn.Conv2d(32, 32, 1, bias=False), 32 * 32 * 256),
        (lambda: nn.Conv2d(32, 32, 5, padding="same", groups=32, dilation=2), 32 * 25 * 256),
        (lambda: nn.Conv2d(32, 64, 3, stride=2, padding=1), 32 * 64 * 9 * 64),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(8192, 10)), 8192 * 10),
        (lambda: nn.Linear(16, 48), 32 * 16 * 16 * 48),
        (lambda: Apply(lambda x: x.flatten(2) @ torch.empty(256, 64, device="meta")), 32 * 256 * 64),
        (lambda: Apply(lambda x: torch.einsum("bchw,cd->bdhw", x, torch.empty(32, 64, device="meta"))), 32 * 64 * 256),
    ],
    ids=["conv 1x1", "without bias", "depthwise dilated", "strided", "linear", "linear on columns", "matmul", "einsum"],
)
def test_macs_of_products_by_hand(model: Callable[[], nn.Module], macs: int) -> None:
    counts = count(on_meta(model), (32, 16, 16))
    assert (counts.macs, counts.elementwise_flops, counts.uncounted) == (macs, 0, ())


def test_attention_is_two_products_of_tokens_with_tokens() -> None:
    def attention(x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT  # 256 tokens of 32
        return F.scaled_dot_product_attention(tokens, tokens, tokens)

    assert count(Apply(attention), (32, 16, 16)).macs == 2 * 256 * 256 * 32


def test_attention_with_projections_has_four_more_products() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(32, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).mT
            y: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
            return y

    assert count(on_meta(Attention), (32, 16, 16)).macs == 2 * 256 * 256 * 32 + 4 * 256 * 32 * 32


def test_a_product_of_equal_shapes_is_elementwise_work() -> None:
    counts = count(Apply(lambda x: torch.einsum("bchw,chw->bchw", x, x[0])), (32, 16, 16))
    assert (counts.macs, counts.elementwise_flops, counts.uncounted) == (0, 8192, ())


def test_a_real_transform_takes_five_halves_n_log_n() -> None:
    """One of 16x16 = 256 points takes 2.5 * 256 * 8 = 5,120 operations; there are 32 channels and two directions."""
    counts = count(Apply(lambda x: torch.fft.irfft2(torch.fft.rfft2(x), s=(16, 16))), (32, 16, 16))
    assert counts.transform_flops == 2 * 163_840
    assert counts.flops == 2 * 163_840
    assert counts.uncounted == ()


def test_a_complex_transform_takes_twice_a_real_one() -> None:
    counts = count(Apply(lambda x: torch.fft.fft2(torch.complex(x, x)).real), (32, 16, 16))
    assert counts.transform_flops == 2 * 163_840


def test_a_transform_over_one_side_is_shorter() -> None:
    counts = count(Apply(lambda x: torch.fft.rfft(x).abs()), (32, 16, 16))
    assert counts.transform_flops == 2.5 * 8192 * 4


def test_a_complex_product_is_six_operations() -> None:
    def filtered(x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x)  # 16 x 9
        return torch.fft.irfft2(spectrum * spectrum, s=(16, 16))

    assert count(Apply(filtered), (32, 16, 16)).elementwise_flops == 6 * 32 * 16 * 9


def test_elementwise_work_of_a_small_network_by_hand() -> None:
    def small() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 2, 1), nn.GELU(), nn.BatchNorm2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)
        )

    counts = count(on_meta(small), (1, 4, 4))
    assert counts.macs == 2 * 16 + 2 * 3
    assert counts.elementwise_flops == 32 + 2 * 32 + 32  # GELU, batch norm, mean of 32 values
    assert counts.flops == 2 * 38 + 128
    assert counts.parameters == (2 + 2) + (2 + 2) + (6 + 3)


@pytest.mark.parametrize(
    ("function", "operations"),
    [
        (lambda x: x + x, 8192),
        (lambda x: x.transpose(1, 2).reshape(1, -1), 0),
        (lambda x: x.roll(1, 2).flip(3), 0),
        (lambda x: F.layer_norm(x, (16,)), 5 * 8192),
        (lambda x: F.group_norm(x, 4), 5 * 8192),
        (lambda x: F.softmax(x, 1), 5 * 8192),
        (lambda x: F.avg_pool2d(x, 2), 8192),
        (lambda x: F.max_pool2d(x, 2), 8192),
        (lambda x: F.avg_pool2d(x, 3, stride=1, padding=1), 9 * 8192),
        (lambda x: F.adaptive_avg_pool2d(x, 1), 8192),
        (lambda x: x.sum((2, 3)), 8192),
    ],
    ids=[
        "sum of two", "reshape", "roll", "layer norm", "group norm", "softmax", "average pool", "maximum pool",
        "overlapping pool", "global pool", "sum",
    ],
)  # fmt: skip
def test_elementwise_work_by_hand(function: Callable[[Tensor], Tensor], operations: int) -> None:
    counts = count(Apply(function), (32, 16, 16))
    assert (counts.macs, counts.elementwise_flops, counts.uncounted) == (0, operations, ())


def test_an_operation_with_no_rule_is_listed_and_not_taken_for_zero() -> None:
    counts = count(Apply(lambda x: torch.cumsum(torch.cumprod(x, 1), 2) + x), (1, 4, 4))
    assert counts.uncounted == ("cumprod", "cumsum")
    assert counts.elementwise_flops == 16


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 16, 24)], ids=str)
def test_meta_device_and_cpu_count_alike(shape: Shape) -> None:
    architecture = convmixer(16, 2, 4, 2, shape)
    assert count(on_meta(lambda: build(architecture)), shape) == count(build(architecture), shape)


def test_counting_a_network_changes_nothing_in_it() -> None:
    model = build(convmixer(8, 1, 3, 4)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count(model, (3, 32, 32))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_training_mode_is_as_it_was(training: bool) -> None:
    model = build(convmixer(8, 1, 3, 4)).train(training)
    count(model, (3, 32, 32))
    assert {module.training for module in model.modules()} == {training}


def test_frozen_parameters_are_told_apart() -> None:
    model = nn.Conv2d(2, 3, 1)
    model.bias.requires_grad_(False)
    counts = count(model, (2, 4, 4))
    assert (counts.parameters, counts.trainable_parameters) == (9, 6)


def test_macs_grow_with_the_image_and_parameters_do_not() -> None:
    model = on_meta(lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, 8, 3, padding=1)))
    small, large = count(model, (3, 8, 8)), count(model, (3, 16, 16))
    assert (large.macs, large.elementwise_flops) == (4 * small.macs, 4 * small.elementwise_flops)
    assert large.parameters == small.parameters


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT
        return F.scaled_dot_product_attention(tokens, tokens, tokens)


def test_attention_is_counted_without_gaps() -> None:
    assert count(Attention(), (32, 16, 16)).uncounted == ()


def test_every_module_keeps_its_training_mode() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train()
    model[1].eval()
    count(model, (1, 4, 4))
    assert not model[1].training
