"""Channel mixers beside the plain MLP: each is its equation, in float64, and costs what is published."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from matrices import close, lively, random
from torch import Tensor, nn

from searchspaces import SEARCH_SPACES, build
from searchspaces.architecture import ChannelMixer, Shape
from searchspaces.freezing import Mixer
from searchspaces.operators.channel_aggregation import AggregatingMlp, ChannelAggregation
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.cheb_kan import ChebyshevKan, Polynomials, chebyshev
from searchspaces.operators.grn_mlp import GrnMlp, RespondingMlp
from searchspaces.operators.hourglass import Hourglass, Steps
from searchspaces.operators.rbf_kan import GaussianKan, Gaussians
from searchspaces.operators.shift_mlp import Shifting, ShiftMlp, power_of_two

SHAPE = (6, 5, 3)


def at_each_position(weight: Tensor, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """``W x + b`` over the channels of (B, C, H, W)."""
    return F.conv2d(x, weight.reshape(*weight.shape[:2], 1, 1), bias)


def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean(1, keepdim=True)
    scaled = centred / (centred.square().mean(1, keepdim=True) + layer.eps).sqrt()
    return scaled * layer.weight[:, None, None] + layer.bias[:, None, None]


def test_grn_mlp_is_its_equation() -> None:
    mixer, x = lively(GrnMlp(2.0, 3).build(SHAPE)), random(2, *SHAPE)
    assert isinstance(mixer, RespondingMlp)
    h = F.gelu(mixer.expand(norm(mixer.norm, mixer.depthwise(x))))
    norms = h.square().sum((2, 3), keepdim=True).sqrt()
    n = norms / (norms.mean(1, keepdim=True) + 1e-6)
    response = mixer.response
    close(mixer(x), mixer.reduce(response.gamma * (h * n) + response.beta + h))


def test_grn_mlp_starts_as_a_plain_mlp_and_a_dead_channel_has_a_gradient() -> None:
    mixer, x = GrnMlp(2.0, 3).build(SHAPE).double(), random(2, *SHAPE)
    assert isinstance(mixer, RespondingMlp)
    close(mixer(x), mixer.reduce(F.gelu(mixer.expand(mixer.norm(mixer.depthwise(x))))))
    silent = torch.zeros(2, 12, 5, 3, dtype=torch.float64, requires_grad=True)
    mixer.response.gamma.data += 1
    mixer.response(silent).sum().backward()
    assert torch.equal(silent.grad, torch.ones_like(silent))


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
def test_hourglass_is_what_its_steps_add(steps: int, gated: bool) -> None:
    mixer, x = lively(Hourglass(2.0, steps, gated).build(SHAPE)), random(2, *SHAPE)
    assert isinstance(mixer, Steps)
    y = x
    for step in mixer.steps:
        hidden = step.down(norm(step.norm, y))
        half = hidden.shape[1] // 2
        inner = F.silu(hidden[:, :half]) * hidden[:, half:] if gated else F.gelu(hidden)
        y = y + step.up(inner)
    close(mixer(x), y - x)


@pytest.mark.parametrize("shape", [(64, 4, 4), (50, 3, 5)], ids=str)
@pytest.mark.parametrize("steps", [1, 3, 8, 16])
def test_hourglass_costs_the_macs_of_one_mlp_of_its_expansion(steps: int, shape: Shape) -> None:
    assert Hourglass(4.0, steps).cost(shape).macs == ChannelMLP(4.0).cost(shape).macs


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_cheb_kan_sums_cosines_of_multiples_of_the_angle(degree: int) -> None:
    mixer, x = ChebyshevKan(degree).build(SHAPE).double(), random(2, *SHAPE)
    assert isinstance(mixer, Polynomials)
    angle = torch.tanh(x).acos()
    coefficients = torch.stack([mixer.constant, *mixer.coefficients.chunk(degree, 1)], 2)
    expected = sum(at_each_position(coefficients[:, :, k], torch.cos(k * angle)) for k in range(degree + 1))
    assert isinstance(expected, Tensor)
    close(mixer(x), expected)


def test_cheb_kan_of_degree_one_is_linear_in_the_tanh_of_its_input() -> None:
    mixer, a, b = ChebyshevKan(1).build(SHAPE).double(), random(2, *SHAPE), random(3, *SHAPE)[:2]
    half = torch.atanh((torch.tanh(a) + torch.tanh(b)) / 2)
    close(mixer(half), (mixer(a) + mixer(b)) / 2)


def test_chebyshev_polynomials_have_finite_gradients_at_the_ends() -> None:
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(chebyshev(ends, 4)[-1].sum(), ends)
    assert slope.tolist() == [-16, 16]  # T_n'(1) = n^2


def test_rbf_kan_is_its_equation() -> None:
    mixer, x = lively(GaussianKan(4).build(SHAPE)), random(2, *SHAPE)
    assert isinstance(mixer, Gaussians)
    u = norm(mixer.norm, x)
    expected = at_each_position(mixer.beside.weight, F.silu(x), mixer.beside.bias)
    for k, weight in enumerate(mixer.wide.weight.chunk(4, 1)):
        expected += at_each_position(weight, torch.exp(-(((u + 2 - 4 * k / 3) / (4 / 3)) ** 2)))
    close(mixer(x), expected)


def test_shift_mlp_is_an_mlp_of_signed_powers_of_two() -> None:
    mixer, x = lively(ShiftMlp(2.0).build(SHAPE)), random(2, *SHAPE)
    assert isinstance(mixer, Shifting)
    up, down = (power_of_two(layer.weight, 5) for layer in (mixer.up, mixer.down))
    for power, weight in ((up, mixer.up.weight), (down, mixer.down.weight)):
        mantissa, exponent = torch.frexp(power)
        assert torch.equal(mantissa, weight.sign() / 2)
        assert (exponent - 1 == weight.abs().log2().round().clamp(-15, 0)).all()
    hidden = F.gelu(at_each_position(up, x, mixer.up.bias))
    close(mixer(x), at_each_position(down, hidden, mixer.down.bias))


def test_exponents_are_cut_to_the_bits_and_the_gradient_passes_straight_through() -> None:
    weight = torch.tensor([0.0, -0.0, 1e-9, -0.1, 0.2, 0.7, -0.8, 5.0], requires_grad=True)
    found = power_of_two(weight, 3)
    assert found.tolist() == [0.125, -0.125, 0.125, -0.125, 0.25, 0.5, -1.0, 1.0]
    assert power_of_two(weight, 5)[2] == 2**-15
    given = torch.arange(8.0)
    assert torch.equal(torch.autograd.grad(found, weight, given)[0], given)


def test_channel_aggregation_is_its_equation() -> None:
    mixer, x = lively(ChannelAggregation(2.0).build(SHAPE)), random(2, *SHAPE)
    assert isinstance(mixer, AggregatingMlp)
    h, aggregation = F.gelu(mixer.depthwise(mixer.expand(x))), mixer.aggregation
    mixture = F.gelu(at_each_position(aggregation.mixture.weight, h, aggregation.mixture.bias))
    close(mixer(x), mixer.reduce(h + aggregation.gamma * (h - mixture)))


@pytest.mark.parametrize(
    ("config", "names"),
    [(GrnMlp(), {"depthwise.weight"}), (ChannelAggregation(), {"depthwise.weight", "depthwise.bias"})],
    ids=["grn_mlp", "channel_aggregation"],
)
def test_depthwise_filters_are_the_spatial_parameters(config: ChannelMixer, names: set[str]) -> None:
    mixer = config.build(SHAPE)
    found = {id(p) for p in mixer.spatial_parameters()}
    assert {name for name, p in mixer.named_parameters() if id(p) in found} == names


@pytest.mark.parametrize("config", [GrnMlp(), Hourglass(), GaussianKan()], ids=lambda c: c.kind)
def test_norms_train_under_every_pattern(config: ChannelMixer) -> None:
    mixer: Mixer = config.build((16, 4, 4))
    frozen = {id(p) for part in (mixer.spatial_parameters(), mixer.channel_parameters()) for p in part}
    left = {name.rsplit(".", 1)[-1] for name, p in mixer.named_parameters() if id(p) not in frozen}
    assert left == {"weight", "bias"} | ({"gamma", "beta"} if isinstance(config, GrnMlp) else set())


SHAPES = [(64, 16, 16), (96, 14, 14), (256, 8, 8)]
PUBLISHED: list[tuple[Any, list[int], list[float]]] = [
    (Hourglass(2.0, 8), [18_048, 39_360, 268_800], [4.19, 7.23, 16.78]),
    (GrnMlp(), [28_480, 61_152, 408_832], [7.09, 11.76, 25.97]),
    (ChebyshevKan(3), [16_384, 36_864, 262_144], [4.19, 7.23, 16.78]),
    (GaussianKan(8), [37_056, 83_232, 590_592], [9.44, 16.26, 37.75]),
    (ShiftMlp(4.0), [33_088, 74_208, 525_568], [8.39, 14.45, 33.55]),
]


@pytest.mark.parametrize(("config", "parameters", "macs"), PUBLISHED, ids=[c.kind for c, _, _ in PUBLISHED])
def test_counts_are_the_published_ones(config: ChannelMixer, parameters: list[int], macs: list[float]) -> None:
    costs = [config.cost(shape) for shape in SHAPES]
    assert [cost.parameters for cost in costs] == parameters
    assert [round(cost.macs / 1e6, 2) for cost in costs] == macs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GrnMlp(kernel=4), r"kernel must be odd, got 4\. Take 3 or 5\."),
        (lambda: GrnMlp(expansion=0), r"expansion must be positive, got 0\."),
        (lambda: Hourglass(steps=0), r"steps must be at least 1, got 0\."),
        (
            lambda: Hourglass(0.5, 8).build((8, 4, 4)),
            r"steps must be 1 to 4, the hidden units of all at expansion=0\.5, got steps=8\.",
        ),
        (lambda: ChebyshevKan(0), r"degree must be at least 1, got 0\."),
        (lambda: GaussianKan(1), r"centres must be at least 2, got 1\."),
        (lambda: ShiftMlp(bits=1), r"bits must be one of 2, 3, 4, 5, 6, got 1\."),
        (lambda: ChannelAggregation(kernel=0), r"kernel must be odd, got 0\. Take 1 or 3\."),
    ],
)
def test_wrong_values_are_refused_with_what_can_be(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("layout", ["isotropic", "pyramid"])
@pytest.mark.parametrize("tokens_by", ["resize", "patch", "project"])
def test_an_hourglass_over_a_frozen_lift_trains_all_but_the_lift(tokens_by: str, layout: str) -> None:
    space = SEARCH_SPACES["mixing"]((3, 8, 8), 10, stages=1, tokens_by=tokens_by)
    space = space.narrow({"s1.channel": ["hourglass"], "stem_frozen": ["on"], "layout": [layout]})
    network = build(space.decode(space.first))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0)
    F.cross_entropy(network(torch.rand(4, 3, 8, 8)), torch.arange(4)).backward()
    optimizer.step()
    kept = {name for name, p in network.named_parameters() if torch.equal(p, before[name])}
    assert kept == {"stem.conv.weight", "stem.conv.bias"}
