"""Separable convolution: the fused form against its definition, and what a frozen bank can express."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from objectives.counting import count
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, freeze
from searchspaces.layers.draws import Words
from searchspaces.layers.filters import filter_bank
from searchspaces.layers.separable import Separable, SeparableConvolution, canonical_filters

SHAPE = (4, 7, 10)


def built(spec: Separable, pattern: Freeze = "chans", channels: int = 4) -> SeparableConvolution:
    """The module in float64, frozen by ``pattern``, the same for equal arguments."""
    torch.manual_seed(0)
    module = spec.build((channels, *SHAPE[1:]), pattern).double()
    freeze(pattern, (module,))
    return module


def images(number: int = 3) -> Tensor:
    return torch.randn(number, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


every_geometry = pytest.mark.parametrize(
    ("kernel", "stride", "multiplier"), list(itertools.product((3, 5), (1, 2), (1, 2, 9)))
)


@every_geometry
def test_the_fused_form_gives_what_the_two_parts_give(kernel: int, stride: int, multiplier: int) -> None:
    module, x = built(Separable(6, kernel, stride, multiplier)), images()
    module.fused = True
    fused = module(x)
    module.fused = False
    torch.testing.assert_close(fused, module(x), atol=1e-10, rtol=0)
    assert fused.shape[1:] == Separable(6, kernel, stride, multiplier).output(SHAPE)


@every_geometry
def test_gradients_pass_through_the_fused_form_as_through_the_two_parts(
    kernel: int, stride: int, multiplier: int
) -> None:
    gradients = []
    for fused in (True, False):
        module, x = built(Separable(6, kernel, stride, multiplier)), images().requires_grad_()
        module.fused = fused
        module(x).square().sum().backward()
        assert module.depthwise.weight.grad is None
        assert module.pointwise.weight.grad is not None
        assert x.grad is not None
        gradients.append((module.pointwise.weight.grad, x.grad))
    for one, other in zip(*gradients, strict=True):
        assert one.abs().sum() > 0
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-10)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("filters", ["random", "orthogonal"])
def test_every_dense_convolution_is_expressed_with_nine_frozen_filters(filters: str, stride: int) -> None:
    module, x = built(Separable(6, 3, stride, 9, filters)), images()
    dense = torch.randn(6, 4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    basis = module.depthwise.weight.view(4, 9, 9)  # (channel, filter, tap)
    mixing = torch.linalg.solve(basis, dense.view(6, 4, 9).transpose(0, 1), left=False)  # (channel, out, filter)
    with torch.no_grad():
        module.pointwise.weight.copy_(mixing.transpose(0, 1).reshape(6, 36, 1, 1))
    expected = F.conv2d(x, dense, stride=stride, padding=1)
    for fused in (True, False):
        module.fused = fused
        torch.testing.assert_close(module(x), expected, atol=1e-9, rtol=0)


def test_filter_q_of_channel_i_is_depthwise_output_i_times_multiplier_plus_q() -> None:
    module, x = built(Separable(1, multiplier=3)), images(1)
    weight = module.depthwise.weight
    for i, q in itertools.product(range(4), range(3)):
        expected = F.conv2d(x[:, i : i + 1], weight[3 * i + q : 3 * i + q + 1], padding=1)
        torch.testing.assert_close(module.depthwise(x)[:, 3 * i + q : 3 * i + q + 1], expected)


def test_the_dense_kernel_is_the_sum_over_the_filters_of_a_channel() -> None:
    module = built(Separable(2, multiplier=3), channels=4)
    spatial, mixing = module.depthwise.weight, module.pointwise.weight
    by_hand = sum(mixing[1, 3 * 2 + q, 0, 0] * spatial[3 * 2 + q, 0] for q in range(3))
    torch.testing.assert_close(module.kernel()[1, 2], by_hand)


def test_few_positions_run_as_defined_where_that_takes_less_and_no_gradient_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = built(Separable(64, multiplier=2), "chans", channels=64)
    made = list[int]()
    kernel = module.kernel
    monkeypatch.setattr(module, "kernel", lambda: made.append(1) or kernel())
    few = torch.rand(2, 64, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    many = few.repeat(40, 1, 1, 1)
    with torch.no_grad():
        alone, among = module(few), module(many)
    assert len(made) == 1  # for the many
    torch.testing.assert_close(alone, among[:2], atol=1e-12, rtol=0)
    torch.testing.assert_close(module(few), alone, atol=1e-12, rtol=0)
    assert len(made) == 2
    with torch.no_grad():
        graph = torch.export.export(module, (few,))
    assert len(made) == 3
    assert [node for node in graph.graph.nodes if "einsum" in str(node.target)]


@pytest.mark.parametrize("pattern", FREEZE_PATTERNS)
def test_only_a_frozen_bank_of_several_filters_with_nothing_between_is_fused(pattern: Freeze) -> None:
    assert built(Separable(6, multiplier=2), pattern).fused == (pattern == "chans")
    assert not built(Separable(6, multiplier=1), pattern).fused
    assert not built(Separable(6, multiplier=2, variant="mobilenet"), pattern).fused


def test_a_norm_between_the_parts_is_never_skipped() -> None:
    module, x = built(Separable(6, multiplier=2, variant="mobilenet")), images()
    assert module.norm is not None
    by_hand = module.pointwise(F.batch_norm(module.depthwise(x), None, None, training=True))
    for fused in (False, True):
        module.fused = fused
        torch.testing.assert_close(module(x), by_hand)


@pytest.mark.parametrize("mode", ["smooth(1)", "heads(3)", "same_per_multiplier", "orthogonal"])
def test_the_bank_holds_the_filters_that_were_asked_for(mode: str) -> None:
    module = built(Separable(2, multiplier=9, filters=mode))
    torch.manual_seed(0)
    for size in (36 * 9, 2 * 36):  # what the two convolutions draw first
        torch.rand(size)
    expected = filter_bank(mode, 4, 3, Words(int(torch.randint(2**31, ()))), multiplier=9).double()
    assert torch.equal(module.depthwise.weight, expected)


@pytest.mark.parametrize("multiplier", [1, 2, 9])
def test_multiply_accumulates_are_those_of_the_two_parts_and_of_what_is_run(multiplier: int) -> None:
    spec = Separable(6, stride=2, multiplier=multiplier)
    positions = 4 * 5
    with torch.device("meta"):
        module = spec.build(SHAPE, "chans")
    cost = spec.cost(SHAPE, "chans")
    assert cost.macs_executed == count(module, SHAPE).macs
    module.fused = False
    assert cost.macs == count(module, SHAPE).macs == positions * (4 * 9 * multiplier + 4 * multiplier * 6)
    if multiplier > 1:
        einsum = 6 * 4 * multiplier * 9
        assert cost.macs_executed == positions * 9 * 4 * 6 + einsum


@pytest.mark.parametrize(
    ("mode", "multiplier", "canonical"),
    [
        ("same_per_multiplier", 1, "same"),
        ("same_per_multiplier", 2, "same_per_multiplier"),
        ("heads(1)", 2, "same"),
        ("smooth(1.50)", 2, "smooth(1.5)"),
    ],
)
def test_modes_that_give_the_same_bank_have_one_writing(mode: str, multiplier: int, canonical: str) -> None:
    assert canonical_filters(mode, 3, multiplier) == canonical
    banks = [filter_bank(m, 4, 3, Words(0), multiplier=multiplier) for m in (mode, canonical)]
    assert torch.equal(*banks)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dim": 0}, "dim, stride and multiplier must be at least 1, got dim=0, stride=1, multiplier=1"),
        ({"multiplier": 0}, "must be at least 1, got dim=4, stride=1, multiplier=0"),
        ({"stride": 0}, "must be at least 1, got dim=4, stride=0"),
        ({"kernel": 4}, r"kernel must be odd \(1, 3, 5, \.\.\.\), got 4\."),
        ({"variant": "mobile"}, "variant must be one of plain, mobilenet, got 'mobile'"),
        ({"filters": "bx"}, r"unknown filter mode 'bx'\. Did you mean 'box'\?"),
        ({"filters": "heads(0.5)"}, r"filter mode 'heads' takes a whole number, as in heads\(4\), got 'heads\(0\.5\)'"),
        ({"filters": "orthogonal", "multiplier": 4}, r"orthogonal filters need multiplier = kernel\^2 = 9, got 4"),
    ],
)
def test_a_wrong_field_is_answered_with_what_must_hold(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Separable(**{"dim": 4, **fields})  # type: ignore[arg-type]
