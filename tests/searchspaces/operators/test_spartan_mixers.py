"""SpaRTAN's mixers (2507.10999): their equations, parameters, gradient footprint, starts and freezing."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from searchspaces import Shape, build
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.downsamples import SpartanDownsample
from searchspaces.freezing import freeze
from searchspaces.known.spartan import spartan, spartan_t
from searchspaces.layers.norms import LayerScale
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.mlp_depthwise import MlpDepthwise
from searchspaces.operators.mlp_se import MlpSE
from searchspaces.operators.spartan_mixer import SpartanMixer, SpatialMixer
from searchspaces.operators.spartan_wave import SpartanWave, WaveConv, WaveMixer, multiply_pairs
from searchspaces.stems.spartan import SpartanStem


def enlarged(module: nn.Module) -> Any:
    """The module in float64 and evaluation with every parameter and statistic away from 0 and 1."""
    torch.manual_seed(1)
    module = module.double().eval()
    for tensor in [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]:
        tensor.data.add_(0.3 * torch.rand_like(tensor))
    return module


STAGES: list[tuple[int, int, Any, WaveConv, int, int, int]] = [
    (32, 4, "full", "depthwise", 8_872, 16_296, 25_360),
    (64, 4, "full", "depthwise", 35_152, 61_264, 96_800),
    (128, 2, "depthwise", "grouped", 31_072, 120_992, 152_832),
    (256, 2, "depthwise", "grouped", 119_488, 471_360, 592_384),
]


@pytest.mark.parametrize(("width", "expansion", "conv", "channel_conv", "token", "channel", "block"), STAGES)
def test_parameters_of_a_block_are_those_of_the_released_code(
    width: int, expansion: int, conv: Any, channel_conv: WaveConv, token: int, channel: int, block: int
) -> None:
    shape, mixers = (width, 4, 4), (SpartanMixer(conv=conv), SpartanWave(expansion, conv=channel_conv))
    whole = MetaFormerBlock(*mixers, norm="group", layer_scale=1e-5)
    for spec, expected in zip((*mixers, whole), (token, channel, block), strict=True):
        assert spec.cost(shape).parameters == expected
        with torch.device("meta"):
            assert sum(p.numel() for p in spec.build(shape).parameters()) == expected


def test_the_controls_cost_what_they_cost_in_the_pilot() -> None:
    """Differences between networks of two blocks at C = 16: only the channel mixers differ."""
    shape: Shape = (16, 8, 8)
    mlp, gated, depthwise, wave2, wave4 = (
        2 * spec.cost(shape).parameters
        for spec in (ChannelMLP(4.0), MlpSE(4), MlpDepthwise(2), SpartanWave(2), SpartanWave(4))
    )
    assert gated - mlp == 11_570 - 10_410
    assert wave2 - mlp == 10_738 - 10_410
    assert wave2 - depthwise == 10_738 - 8_938
    assert wave4 - wave2 == 15_282 - 10_738
    assert wave2 - 2 * SpartanWave(2, wc="off").cost(shape).parameters == 10_738 - 10_674


def reference_spartan_mixer(m: SpatialMixer, x: Tensor, layers: list[dict[str, int]]) -> Tensor:
    """``Y`` from the equations of the paper; ``layers`` are the settings of each branch's convolutions."""
    p = F.conv2d(x, m.reduce.weight, m.reduce.bias)
    z = p if m.gain is None else p + m.gain * (p - p.mean((2, 3), keepdim=True))
    outputs = []
    for branch, settings in zip(m.branches, layers, strict=True):
        y, parts = z, list(branch)
        while isinstance(parts[0], nn.Conv2d):
            y = F.conv2d(y, parts.pop(0).weight, **settings)
        y = F.gelu(normalised(parts.pop(0), y))
        parts.pop(0)
        outputs.append(gated(parts.pop(0), y) if parts else y)
    return F.conv2d(torch.cat(outputs, 1), m.mix.weight, m.mix.bias)


def normalised(norm: Any, x: Tensor) -> Tensor:
    mean, var, weight, bias = (t[:, None, None] for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
    return (x - mean) / (var + 1e-6).sqrt() * weight + bias


def gated(gate: Any, x: Tensor) -> Tensor:
    hidden = F.relu(x.mean((2, 3)) @ gate.reduce.weight.T + gate.reduce.bias)
    return x * torch.sigmoid(hidden @ gate.expand.weight.T + gate.expand.bias)[:, :, None, None]


def reference_wave(m: WaveMixer, x: Tensor, spec: SpartanWave) -> Tensor:
    """``Y`` from the equations of the paper, in complex arithmetic."""
    a, t = F.conv2d(x, m.amplitude.weight, m.amplitude.bias), F.conv2d(x, m.phase.weight, m.phase.bias)
    if spec.phase == "gelu":
        t = F.gelu(t)
    elif spec.phase == "wave_mlp":
        t = F.relu(normalised(m.phase_norm, t))
    elif spec.phase == "sincos":
        even = torch.arange(t.shape[1])[:, None, None] % 2 == 0
        t = torch.where(even, t.cos(), t.sin())
    f = a * t
    if spec.fmax:
        index = x.argmax(1)
        for b, i, j in torch.cartesian_prod(*map(torch.arange, (len(x), *x.shape[2:]))):
            c = index[b, i, j]
            f[b, :, i, j] += a[b, c, i, j] * t[b, c, i, j]
    if m.pairs is not None:
        waves = torch.complex(f[:, 0::2], f[:, 1::2]) * torch.view_as_complex(m.pairs.data)[:, None, None]
        f = torch.view_as_real(waves).permute(0, 1, 4, 2, 3).flatten(1, 2)
    g = F.gelu(normalised(m.norm, F.conv2d(f, m.conv.weight, padding=1, groups=m.conv.groups)))
    return F.conv2d(gated(m.gate, g), m.reduce.weight, m.reduce.bias)


SPARTAN_MIXERS = {
    "released early": (SpartanMixer(conv="full"), [{"padding": 1}, {"padding": 2, "dilation": 2}]),
    "released late": (SpartanMixer(), [{"padding": 1, "groups": 8}, {"padding": 2, "dilation": 2, "groups": 8}]),
    "h": (SpartanMixer("h", kernel=5, conv="full", fd=False), [{"padding": 2}]),
    "l": (SpartanMixer("l", 3, 3, 3, "full", se=0), [{"padding": 3, "dilation": 3}]),
}


@pytest.mark.parametrize(("spec", "layers"), SPARTAN_MIXERS.values(), ids=SPARTAN_MIXERS)
@torch.no_grad()
def test_the_spatial_mixer_computes_its_equations(spec: SpartanMixer, layers: list[dict[str, int]]) -> None:
    mixer, x = enlarged(spec.build((16, 7, 5))), torch.randn(2, 16, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(mixer(x), reference_spartan_mixer(mixer, x, layers), atol=1e-10, rtol=1e-10)


WAVES = [
    *(SpartanWave(4, phase, conv="depthwise") for phase in ("gelu", "identity", "sincos", "wave_mlp")),
    SpartanWave(2, conv="grouped"),
    SpartanWave(3, conv="full", fmax=False),
    SpartanWave(3, wc="off"),
    SpartanWave(2, fmax=False, wc="unit"),
]


@pytest.mark.parametrize("spec", WAVES, ids=lambda spec: spec.label())
@torch.no_grad()
def test_the_wave_mixer_computes_its_equations(spec: SpartanWave) -> None:
    mixer, x = enlarged(spec.build((8, 5, 3))), torch.randn(2, 8, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(mixer(x), reference_wave(mixer, x, spec), atol=1e-10, rtol=1e-10)


def test_real_pairs_are_the_complex_product() -> None:
    torch.manual_seed(0)
    x, weights = torch.randn(2, 6, 4, 5), torch.randn(3, 2)
    complex_product = torch.view_as_complex(x.unflatten(1, (3, 2)).movedim(2, -1).contiguous())
    complex_product = complex_product * torch.view_as_complex(weights)[:, None, None]
    expected = torch.view_as_real(complex_product).movedim(-1, 2).flatten(1, 2)
    torch.testing.assert_close(multiply_pairs(x, weights), expected, atol=1e-6, rtol=1e-6)


def test_a_complex_weight_acts_on_two_neighbouring_channels() -> None:
    x, weights = torch.ones(1, 8, 1, 1), torch.tensor([[1.0, 0.0]] * 4)
    weights[1] = torch.tensor([0.0, 1.0])  # j (1 + j) = -1 + j
    assert multiply_pairs(x, weights).flatten().tolist() == [1, 1, -1, 1, 1, 1, 1, 1]


def test_the_greatest_of_the_inputs_picks_one_of_the_hidden_channels() -> None:
    mixer = enlarged(SpartanWave(2, "identity", wc="off").build((4, 1, 1)))
    with torch.no_grad():
        for layer in (mixer.amplitude, mixer.phase):
            layer.weight.zero_()
        mixer.amplitude.bias.copy_(torch.tensor([1.0, 2, 3, 4, 50, 60, 70, 80]))  # the greatest stand beyond C
        mixer.phase.bias.fill_(1)
        x = torch.tensor([0.0, 0, 9, 0], dtype=torch.float64).view(1, 4, 1, 1)
        assert mixer.waves(x).flatten().tolist() == [4, 5, 6, 7, 53, 63, 73, 83]


def test_complex_weights_fold_into_the_grouped_convolutions() -> None:
    architecture = spartan((3, 32, 32), 10, widths=(8, 16, 24, 32), depths=(1, 1, 2, 1), layer_scale=1.0)
    network, x = enlarged(build(architecture)), torch.rand(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        before, folded = network(x), 0
        for mixer in (m for m in network.modules() if isinstance(m, WaveMixer) and m.conv.weight.shape[1] == 2):
            a, b = mixer.pairs.unbind(1)
            rotation = torch.stack((torch.stack((a, -b), 1), torch.stack((b, a), 1)), 1)  # (N/2, 2, 2)
            filters = mixer.conv.weight.unflatten(0, (-1, 2))
            mixer.conv.weight.copy_(torch.einsum("goihw,gij->gojhw", filters, rotation).flatten(0, 1))
            mixer.pairs.copy_(torch.tensor([1.0, 0.0]).expand_as(mixer.pairs))
            folded += 1
        assert folded == 3
        assert (network(x) - before).abs().max() < 1e-10


def test_weights_start_as_in_the_released_code() -> None:
    network = build(spartan_t((3, 32, 32), 10), seed=3)
    for mixer in (m for m in network.modules() if isinstance(m, WaveMixer | SpatialMixer)):
        for conv in (m for m in mixer.modules() if isinstance(m, nn.Conv2d)):
            variance = 2 * conv.groups / (conv.kernel_size[0] ** 2 * conv.out_channels)
            assert conv.weight.square().mean().item() == pytest.approx(variance, rel=0.25)
            assert conv.bias is None or not conv.bias.any()
        if isinstance(mixer, SpatialMixer):
            assert mixer.gain is not None
            assert (mixer.gain == 1e-5).all()
    factors = [m.factor for m in network.modules() if isinstance(m, LayerScale)]
    assert len(factors) == 2 * 20
    assert all((factor == 1e-5).all() for factor in factors)
    pairs = torch.cat([m.pairs.detach() for m in network.modules() if isinstance(m, WaveMixer)]).double()
    assert pairs.mean(0).abs().max() < 0.1
    assert pairs.square().sum(1).mean().item() == pytest.approx(2, abs=0.15)  # E |W_c|^2 = 2
    assert (torch.cov(pairs.T) - torch.eye(2)).abs().max() < 0.1


def test_complex_weights_start_at_one_or_on_the_unit_circle() -> None:
    torch.manual_seed(0)
    one, unit = (SpartanWave(4, wc=start).build((64, 2, 2)).pairs.detach() for start in ("one", "unit"))
    assert (one == torch.tensor([1.0, 0.0])).all()
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(128))
    assert unit.mean(0).abs().max() < 0.3
    assert SpartanWave(wc="off").build((8, 2, 2)).pairs is None


def footprint(spec: SpartanMixer, seeds: int = 200, side: int = 17) -> Tensor:
    """Share of the energy of d|y(centre)|^2 / dx at distances 0 to 8, mean over seeds, without training."""
    apart = (torch.arange(side) - side // 2).abs()
    distance, total = torch.maximum(apart[:, None], apart).flatten(), torch.zeros(side // 2 + 1)
    for seed in range(seeds):
        torch.manual_seed(seed)
        mixer, x = spec.build((32, side, side)).eval(), torch.randn(1, 32, side, side, requires_grad=True)
        (gradient,) = torch.autograd.grad(mixer(x)[0, :, side // 2, side // 2].square().sum(), x)
        energy = torch.zeros_like(total).index_add(0, distance, gradient[0].square().sum(0).flatten())
        total += energy / energy.sum()
    return total / seeds


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (SpartanMixer("h", conv="full"), (0.10, 0.90, 0, 0, 0)),
        (SpartanMixer("l", conv="full"), (0.12, 0, 0.47, 0, 0.41)),
        (SpartanMixer("hl", dilation=1, conv="full"), (0.09, 0.62, 0.29, 0, 0)),
        (SpartanMixer("hl", conv="full"), (0.11, 0.26, 0.36, 0, 0.27)),
    ],
    ids=lambda value: value.label() if isinstance(value, SpartanMixer) else "",
)
def test_the_gradient_footprint_is_that_of_the_pilot(spec: SpartanMixer, expected: tuple[float, ...]) -> None:
    assert footprint(spec)[:5].tolist() == pytest.approx(expected, abs=0.03)


def test_the_dilated_branch_alone_hears_even_offsets_only() -> None:
    shares = footprint(
        SpartanMixer("l", conv="full", se=0), seeds=2
    )  # without the gate, which hears everything a little
    assert shares[1::2].max() < 1e-9
    assert footprint(SpartanMixer(conv="full", se=0), seeds=2)[1] > 0.1


def names(mixer: nn.Module, pattern: Any) -> set[str]:
    freeze(pattern, [mixer])  # type: ignore[list-item]
    return {name for name, p in mixer.named_parameters() if not p.requires_grad}


def test_filters_and_gain_are_spatial_and_the_rest_but_norms_mixes_channels() -> None:
    filters = {"branches.0.0.weight", "branches.1.0.weight", "branches.1.1.weight", "gain"}
    assert names(SpartanMixer(conv="full").build((16, 4, 4)), "chans") == filters
    assert not {n for n in names(SpartanMixer().build((16, 4, 4)), "space") if n in filters}
    assert names(SpartanWave(conv="full").build((8, 4, 4)), "chans") == {"conv.weight"}
    layers = {f"{layer}.{p}" for layer in ("phase", "amplitude", "reduce") for p in ("weight", "bias")}
    gate = {f"gate.{layer}.{p}" for layer in ("reduce", "expand") for p in ("weight", "bias")}
    assert names(SpartanWave().build((8, 4, 4)), "space") == layers | gate | {"pairs"}
    assert names(MlpDepthwise().build((8, 4, 4)), "chans") == {"depthwise.weight", "depthwise.bias"}
    assert names(MlpSE().build((8, 4, 4)), "chans") == set()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpartanMixer(branches="lh"), r"branches must be one of h, l, hl, got 'lh'\."),  # type: ignore[arg-type]
        (lambda: SpartanMixer(kernel=4), r"kernel must be odd and at least 3, got 4\. Usual: 3, 5, 7\."),
        (lambda: SpartanMixer(l_stack=0), r"at least 1 and se at least 0, got dilation=2, l_stack=0, se=4\."),
        (
            lambda: SpartanMixer(se=8).build((8, 4, 4)),
            r"at least 16 channels for se=8, got input \(8, 4, 4\)\. .* 0 to 4\.",
        ),
        (lambda: SpartanWave(1), r"expansion must be at least 2, got 1\. Usual: 2, 3, 4\."),
        (lambda: SpartanWave(phase="cos"), r"phase must be one of gelu, identity, sincos, wave_mlp, got"),  # type: ignore[arg-type]
        (lambda: SpartanWave(2.5, conv="grouped").cost((6, 4, 4)), r"of a grouped conv, got 6 channels, 1[46] hidden"),
        (lambda: SpartanWave().cost((3, 4, 4)), r"at least 4 channels, .* got 3 channels"),
        (lambda: MlpSE(0), r"expansion must be positive, got 0\."),
        (lambda: MlpSE().build((3, 4, 4)), r"mlp_se needs at least 4 channels.* got input \(3, 4, 4\)\."),
        (lambda: SpartanStem(16, 3), r"stride one of 1, 2, 4, got dim=16, stride=3\."),
        (lambda: SpartanDownsample(8).build((4, 1, 9)), r"at least 2 positions a side, got \(4, 1, 9\)\. Take fewer"),
    ],
)
def test_what_cannot_be_is_answered_with_what_can(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_dilated_branch_that_is_not_there_has_no_settings() -> None:
    assert SpartanMixer("h", dilation=3, l_stack=1).canonical() == SpartanMixer("h")
    assert SpartanMixer("l", dilation=3, l_stack=1).canonical() != SpartanMixer("l")
