"""ASM-RH (2402.18007): facts of the Hermitian transform, its readings, published sizes, the space, its data."""

import json
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from objectives.counting import count
from searchspaces import Architecture, SearchSpace, Value, architecture_cost, build
from searchspaces.architecture import Shape
from searchspaces.known import asm_rh
from searchspaces.layers.transforms import cosine_analysis, cosine_synthesis
from searchspaces.operators.hermit import Axis, Hermit, HermitMixing
from searchspaces.spaces.asm_rh import asm_rh as space_of
from searchspaces.spaces.asm_rh import grid
from trainers.datasets.spectrograms import Spectrograms

LENGTHS = (2, 3, 12, 49, 144, 600, 601)
every_length = pytest.mark.parametrize("n", LENGTHS)


def columns(n: int) -> Tensor:
    """Random real signals of length n, in float64, as columns."""
    return torch.randn(n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


def literal(x: Tensor, norm: str = "ortho") -> Tensor:
    """The paper's chain along the first dimension, with all 2 (n - 1) values in between."""
    chain: Tensor = torch.fft.irfft(torch.fft.hfft(x, dim=0, norm=norm), n=len(x), dim=0, norm=norm)
    return chain


# Facts of the transform, in float64


@every_length
def test_hfft_of_real_values_is_a_dct_of_the_first_kind_extended_evenly(n: int) -> None:
    x, period = columns(n), 2 * (n - 1)
    y = torch.fft.hfft(x, dim=0)
    k, j = torch.arange(period)[:, None].double(), torch.arange(1, n - 1).double()
    inner = 2 * torch.cos(2 * torch.pi * k * j / period) @ x[1:-1]
    torch.testing.assert_close(y, x[0] + (-1) ** k * x[-1] + inner, atol=1e-10, rtol=0)
    torch.testing.assert_close(y[1:], y[1:].flip(0), atol=1e-10, rtol=0)


@every_length
def test_the_matrices_are_the_transforms(n: int) -> None:
    x, bins = columns(n), n // 2 + 1
    spectrum = torch.fft.hfft(x, dim=0, norm="ortho")
    torch.testing.assert_close(cosine_analysis(n, n) @ x, spectrum[:n], atol=1e-12, rtol=0)
    torch.testing.assert_close(cosine_analysis(n, bins), cosine_analysis(n, n)[:bins], atol=0, rtol=0)
    back = torch.fft.irfft(spectrum[:bins], n=n, dim=0, norm="ortho")
    torch.testing.assert_close(cosine_synthesis(n) @ spectrum[:bins], back, atol=1e-12, rtol=0)


@every_length
def test_the_first_n_values_of_hfft_are_lossless_and_their_own_inverse(n: int) -> None:
    x = columns(n)
    spectrum = torch.fft.hfft(x, dim=0)[:n]
    torch.testing.assert_close(torch.fft.irfft(spectrum, n=2 * n - 2, dim=0)[:n], x, atol=1e-12, rtol=0)
    dct = cosine_analysis(n, n)
    torch.testing.assert_close(dct @ dct, torch.eye(n, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("n", "rank"), [(600, 301), (144, 73), (12, 7), (601, 301)])
def test_the_literal_chain_has_half_the_rank_and_symmetric_output(n: int, rank: int) -> None:
    chain = literal(torch.eye(n, dtype=torch.float64))
    assert torch.linalg.matrix_rank(chain, rtol=1e-10) == rank == n // 2 + 1
    torch.testing.assert_close(chain[1:], chain[1:].flip(0), atol=1e-12, rtol=0)
    torch.testing.assert_close(cosine_synthesis(n) @ cosine_analysis(n, rank), chain, atol=1e-12, rtol=0)


def test_the_largest_singular_value_is_the_root_of_two_and_two_with_the_default_norms() -> None:
    unit = torch.eye(600, dtype=torch.float64)
    assert torch.linalg.svdvals(literal(unit))[0].item() == pytest.approx(1.414, abs=5e-4)
    assert torch.linalg.svdvals(literal(unit, "backward"))[0].item() == pytest.approx(2.0, abs=5e-3)


@every_length
def test_a_chain_without_length_has_another_one_and_hfft_with_length_drops_tokens(n: int) -> None:
    x = columns(n)
    assert len(torch.fft.irfft(torch.fft.hfft(x, dim=0), dim=0)) == 4 * n - 6
    changed = x.clone()
    changed[n // 2 + 1 :] += 1
    assert torch.equal(torch.fft.hfft(x, n=n, dim=0), torch.fft.hfft(changed, n=n, dim=0))


# Hermit-frequency-mixing


def built(spec: Hermit, shape: Shape) -> HermitMixing:
    """The module in float64, its matrices exact."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        return spec.build(shape)
    finally:
        torch.set_default_dtype(torch.float32)


def image(shape: Shape, batch: int = 2) -> Tensor:
    return torch.randn(batch, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def lines(x: Tensor, axis: Axis) -> Tensor:
    """The elements along the axis in the first dimension."""
    return {"token": x.flatten(2), "freq_rows": x.transpose(2, 3), "time_cols": x, "embed": x.movedim(1, -1)}[
        axis
    ].movedim(-1, 0)


@pytest.mark.parametrize("shape", [(6, 4, 5), (5, 3, 3), (4, 12, 50)], ids=str)
def test_half_the_spectrum_gives_what_the_full_literal_chain_gives(shape: Shape) -> None:
    """(batch, channels, tokens) with the MLP on all 2 (n - 1) values, without any of our matrices."""
    mixer, x = built(Hermit(), shape), image(shape)
    spectrum = torch.fft.hfft(x.flatten(2), norm="ortho")
    mixed = mixer.mlp(spectrum[:, :, None])[:, :, 0]
    full = torch.fft.irfft(mixed, n=shape[1] * shape[2], norm="ortho")
    assert (mixer(x).flatten(2) - full).abs().max() <= 1e-10


@pytest.mark.parametrize("axis", ["token", "freq_rows", "time_cols", "embed"])
@pytest.mark.parametrize("position", ["before", "around", "after"])
def test_without_an_mlp_literal_is_the_chain_along_its_axis(axis: Axis, position: Any) -> None:
    mixer, x = built(Hermit("literal", axis, position), (6, 4, 5)), image((6, 4, 5))
    mixer.mlp = nn.Sequential()
    torch.testing.assert_close(lines(mixer(x), axis), literal(lines(x, axis)), atol=1e-12, rtol=0)


@pytest.mark.parametrize("axis", ["token", "freq_rows", "time_cols", "embed"])
@pytest.mark.parametrize("reading", ["dct", "dct_filter"])
def test_the_dct_loses_nothing(axis: Axis, reading: Any) -> None:
    mixer, x = built(Hermit(reading, axis), (6, 4, 5)), image((6, 4, 5))
    mixer.mlp = nn.Sequential()
    torch.testing.assert_close(mixer(x), x, atol=1e-12, rtol=0)


@pytest.mark.parametrize("axis", ["token", "freq_rows", "time_cols", "embed"])
def test_the_real_fourier_filter_is_one_of_gfnet_along_its_axis(axis: Axis) -> None:
    mixer, x = built(Hermit("rfft_filter", axis), (6, 4, 5)), image((6, 4, 5))
    mixer.mlp = nn.Sequential()
    gain = torch.view_as_complex(next(iter(mixer.before.parameters())))
    dim = 1 if axis == "embed" else -1
    grid = {"token": x.flatten(2)[:, :, None], "freq_rows": x.transpose(2, 3)}.get(axis, x)
    expected = torch.fft.irfft(torch.fft.rfft(grid, dim=dim) * gain, n=grid.shape[dim], dim=dim)
    expected = expected.transpose(2, 3) if axis == "freq_rows" else expected.reshape(x.shape)
    torch.testing.assert_close(mixer(x), expected)


def test_the_adaptive_mask_is_what_was_published_with_its_input_added() -> None:
    """Complex arithmetic, block by block, against the real maps of the module."""
    shape = (16, 4, 5)
    mixer, x = built(Hermit("aff"), shape), image(shape)
    mixer.mlp = nn.Sequential()
    (first, second), biases = ([torch.complex(m[0], m[1]) for m in mixer.before.maps], mixer.before.biases)
    spectrum = torch.fft.rfft2(x, norm="ortho")
    z = spectrum.view(2, 8, 2, -1).movedim(2, -1)  # batch, block, bin, channel of the block
    for weight, bias, act in ((first, biases[0], nn.ReLU()), (second, biases[1], nn.Softshrink(0.01))):
        z = z @ weight + torch.complex(*bias.chunk(2, -1))
        z = torch.complex(act(z.real), act(z.imag))
    mask = z.movedim(-1, 2).reshape(spectrum.shape)
    torch.testing.assert_close(mixer(x), x + torch.fft.irfft2(mask * spectrum, s=(4, 5), norm="ortho"))


@pytest.mark.parametrize(
    ("axis", "sees"), [("token", True), ("freq_rows", True), ("time_cols", False), ("embed", False)]
)
@pytest.mark.parametrize("reading", ["literal", "dct", "dct_filter", "rfft_filter"])
def test_shuffled_rows_change_the_output_only_of_axes_that_cross_them(reading: Any, axis: Axis, sees: bool) -> None:
    mixer, x, order = built(Hermit(reading, axis), (6, 4, 5)), image((6, 4, 5)), torch.tensor([2, 0, 3, 1])
    if reading == "dct_filter":  # a gain of 1 everywhere is the identity
        nn.init.normal_(next(iter(mixer.before.parameters())))
    shuffled = mixer(x[:, :, order])
    assert torch.allclose(shuffled, mixer(x)[:, :, order], atol=1e-10) != sees


@pytest.mark.parametrize(
    ("axis", "sees"), [("token", True), ("freq_rows", False), ("time_cols", True), ("embed", False)]
)
def test_shuffled_columns_change_the_output_only_of_axes_that_cross_them(axis: Axis, sees: bool) -> None:
    mixer, x, order = built(Hermit(axis=axis), (6, 5, 4)), image((6, 5, 4)), torch.tensor([2, 0, 3, 1])
    assert torch.allclose(mixer(x[..., order]), mixer(x)[..., order], atol=1e-10) != sees


def test_what_builds_the_same_network_has_one_canonical_form() -> None:
    assert Hermit("none", "embed", "after").canonical() == Hermit("none").canonical()
    assert Hermit("dct", position="before").canonical() == Hermit("none").canonical()  # twice the DCT
    assert Hermit("dct").canonical() == Hermit("dct")
    assert Hermit("aff", "time_cols", "before").canonical() == Hermit("aff").canonical()
    assert Hermit("rfft_filter", "time_cols", "before").canonical() == Hermit("rfft_filter", "time_cols")
    assert Hermit("rfft_filter", position="after").canonical() == Hermit("rfft_filter", position="after")
    assert Hermit("literal", position="before").canonical() == Hermit("literal", position="before")


def test_filters_over_positions_are_spatial_and_those_over_channels_are_not() -> None:
    for reading in ("dct_filter", "rfft_filter", "aff"):
        assert Hermit(reading).weights() == {"spatial", "channel"}
        assert list(built(Hermit(reading), (8, 4, 4)).spatial_parameters())
    assert Hermit("dct_filter", "embed").weights() == Hermit().weights() == {"channel"}
    assert not list(built(Hermit("dct_filter", "embed"), (8, 4, 4)).spatial_parameters())
    assert len(list(built(Hermit("dct_filter", "embed"), (8, 4, 4)).channel_parameters())) == 5


def test_a_transform_of_one_element_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"at least 2 elements, got axis='freq_rows'.*Allowed: token, time_cols, embed"
    ):
        Hermit("dct", "freq_rows").build((8, 1, 9))
    assert "freq_rows" not in Hermit.options((8, 1, 9))["axis"]
    with pytest.raises(ValueError, match="expansion must be above 0, got 0"):
        Hermit(expansion=0.0)


def test_matrices_are_not_in_a_checkpoint_and_follow_the_device() -> None:
    mixer = Hermit().build((8, 4, 4))
    assert not any("matrix" in name for name in mixer.state_dict())
    assert Hermit().cost((8, 4, 4)).buffer_bytes == 0
    assert mixer.bfloat16()(torch.randn(1, 8, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_transforms_are_executed_but_are_no_macs_of_the_network_as_defined() -> None:
    shape, mlp = (96, 8, 8), 2 * 96 * 384
    around, before, dct = (Hermit(*words).cost(shape) for words in [(), ("literal", "token", "before"), ("dct",)])
    assert (around.macs, around.macs_executed) == (33 * mlp, 33 * mlp + 2 * 64 * 33 * 96)
    assert (before.macs, before.macs_executed) == (64 * mlp, 64 * mlp + 64 * 64 * 96)
    assert (dct.macs, dct.macs_executed) == (64 * mlp, 64 * mlp + 2 * 64 * 64 * 96)
    rfft = Hermit("rfft_filter").cost(shape)
    assert (rfft.macs, rfft.macs_executed) == (64 * mlp, 64 * mlp)
    assert rfft.transform_flops == 2 * 2.5 * 96 * 64 * 6
    extra = [Hermit(reading).cost(shape).parameters - around.parameters for reading in ("dct_filter", "rfft_filter")]
    assert extra == [64 * 96, 2 * 33 * 96]


# Published sizes

MICRO: dict[str, Any] = {"input": (1, 64, 64), "dim": 96, "depth": 4, "stride": 8, "classes": 10}
SIZES: dict[str, tuple[dict[str, Any], int, int, int]] = {
    "base": ({}, 62_452_520, 38_338_566_144, 21_408_258_048),
    "base, 10 classes": ({"classes": 10}, 62_454_058, 38_338_567_680, 21_408_259_584),
    "speech commands": ({"tokens": 144, "classes": 35}, 58_265_315, 9_201_281_280, 5_181_040_896),
    "small": (
        {"tokens": 144, "dim": 192, "depth": 4, "token_hidden": 72, "classes": 10},
        1_322_026,
        192_874_368,
        109_119_360,
    ),
    "micro": ({**MICRO, "patch": 8, "token_hidden": 32}, 322_538, 20_841_408, 11_699_136),
    "micro-overlap": ({**MICRO, "patch": 16, "token_hidden": 24}, 333_902, 16_559_040, 9_481_152),
}


@pytest.mark.parametrize(("size", "parameters", "macs", "half"), SIZES.values(), ids=SIZES.keys())
def test_counts_of_the_known_networks(size: dict[str, Any], parameters: int, macs: int, half: int) -> None:
    plain, literal = architecture_cost(asm_rh(**size, reading="none")), architecture_cost(asm_rh(**size))
    assert (plain.parameters, plain.macs) == (parameters, macs)
    assert (literal.parameters, literal.macs) == (parameters, half)


@pytest.mark.parametrize("name", ["small", "micro", "micro-overlap"])
def test_counting_gives_the_same_and_the_products_of_the_transforms_besides(name: str) -> None:
    size, parameters, macs, half = SIZES[name]
    for reading, expected in (("none", macs), ("literal", half)):
        network = asm_rh(**size, reading=reading)
        with torch.device("meta"):
            counts = count(build(network), network.input)
        tokens, dim = int(np.prod(network.stem.output(network.input)[1:])), size["dim"]
        products = size["depth"] * 2 * tokens * (tokens // 2 + 1) * dim if reading == "literal" else 0
        assert (counts.parameters, counts.macs - products) == (parameters, expected)
        assert counts.uncounted == ()


def test_the_base_networks_have_600_and_144_tokens() -> None:
    for tokens, sides in ((600, (12, 50)), (144, (12, 12))):
        network = asm_rh(tokens)
        assert network.stem.output(network.input) == (768, *sides)
    assert asm_rh(144).input == (1, 128, 128)


# The search space

SMALL: Shape = (1, 16, 16)
PICKS: dict[str, Value] = {
    "dim": 96,
    "depth": 2,
    "patch": "4/4",
    "embedding": "off",
    "token_hidden": "half",
    "expansion": 4,
    "activation": "gelu",
    "freeze": "full",
    "roll.step": 1,
    "roll.groups": 16,
    "roll.directions": "lrud",
    "roll.fill": "circular",
    "roll.on": "branch",
    "hf.reading": "literal",
    "hf.axis": "token",
    "hf.position": "around",
}


@pytest.fixture(params=[(1, 16, 16), (3, 16, 16), (1, 40, 64)], ids=str)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return space_of(request.param, 4)


def decoded(input: Shape = SMALL, *, allow_wrap: bool = False, **changes: Value) -> Architecture:
    picks = {**PICKS, **{name.replace("__", "."): value for name, value in changes.items()}}
    return space_of(input, 4, allow_wrap=allow_wrap).narrow(picks).decode(picks)


def test_two_hundred_draws_decode_and_keep_their_key_through_json(space: SearchSpace) -> None:
    generator, keys = random.Random(0), set()
    for _ in range(200):
        picks = space.draw(generator)
        architecture = space.decode(picks)
        assert architecture.canonical() == architecture
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))).key == architecture.key
        assert space.decode(picks).key == architecture.key
        keys.add(architecture.key)
    assert len(keys) > 180


def test_the_cost_of_thirty_draws_is_what_counting_gives(space: SearchSpace) -> None:
    generator = random.Random(1)
    for _ in range(30):
        architecture = space.decode(space.draw(generator))
        cost = architecture_cost(architecture)
        with torch.device("meta"):
            counts = count(build(architecture), architecture.input)
        assert counts.uncounted == ()
        assert (cost.macs_executed, cost.transform_flops, cost.elementwise_flops, cost.parameters) == (
            counts.macs,
            counts.transform_flops,
            counts.elementwise_flops,
            counts.parameters,
        )


def test_ten_draws_run_forward_and_backward(space: SearchSpace) -> None:
    narrow, generator = space.narrow({"dim": [16, 48], "depth": [1, 2]}), random.Random(2)
    for _ in range(10):
        architecture = narrow.decode(narrow.draw(generator))
        model = build(architecture)
        logits = model(torch.rand(2, *architecture.input))
        assert logits.shape == (2, 4)
        logits.square().sum().backward()
        gradients = [p.grad for p in model.parameters() if p.requires_grad]
        assert all(g is not None and torch.isfinite(g).all() for g in gradients)


def test_without_a_step_the_other_picks_of_the_roll_make_no_difference() -> None:
    others = [
        {"roll__directions": "lr"},
        {"roll__fill": "zero"},
        {"roll__groups": 32},
        {"roll__on": "residual"},
    ]
    assert len({decoded(roll__step=0, **other).key for other in [{}, *others]}) == 1
    assert len({decoded(roll__step=1, **other).key for other in [{}, *others]}) == 5


def test_without_frequency_mixing_axis_and_position_make_no_difference() -> None:
    plain = decoded(hf__reading="none").key
    assert decoded(hf__reading="none", hf__axis="embed", hf__position="after").key == plain
    assert decoded(hf__reading="dct", hf__position="before").key == plain


def test_steps_are_cut_so_that_all_blocks_go_round_at_most_once() -> None:
    rolls = {
        (depth, pick): decoded((1, 128, 512), patch="16/10", depth=depth, roll__step=pick).stages[0].block.token.roll
        for depth in (1, 4, 12)
        for pick in (1, 4)
    }
    assert {key: (roll.step_w, roll.step_h) for key, roll in rolls.items()} == {
        (1, 1): (1, 1),
        (1, 4): (4, 4),
        (4, 1): (1, 1),
        (4, 4): (4, 3),
        (12, 1): (1, 1),
        (12, 4): (4, 1),
    }
    assert decoded(roll__step=4).key == decoded(roll__step=2).key  # 4 rows, 2 blocks
    assert decoded(roll__step=4, allow_wrap=True).stages[0].block.token.roll.step_h == 3


def test_the_published_networks_are_in_the_space() -> None:
    base = {"dim": 768, "depth": 12, "patch": "16/10", "token_hidden": "384", "roll__groups": 16}
    network = decoded((1, 128, 512), **base)
    assert network.key == asm_rh(600, classes=4).canonical().key
    assert decoded((1, 128, 128), **base).key == asm_rh(144, classes=4).key


def test_patches_are_those_that_fit_the_input() -> None:
    patches = {input: space_of(input, 4).choices[2].options for input in [(1, 128, 128), (1, 32, 32), SMALL]}
    assert patches == {
        (1, 128, 128): ("16/10", "16/16", "16/8", "8/8"),
        (1, 32, 32): ("8/8", "8/4", "4/4", "4/2"),
        SMALL: ("4/4", "4/2", "2/2", "2/1"),
    }
    assert grid("16/10", (1, 128, 512)) == (12, 50)
    with pytest.raises(ValueError, match=r"choice 'patch' cannot be '16/10'.*Allowed: SIDE/STRIDE with two rows"):
        space_of(SMALL, 4).narrow({"patch": "16/10"})
    with pytest.raises(ValueError, match=r"asm_rh needs two rows and columns of tokens, got input \(1, 1, 20\)"):
        space_of((1, 1, 20), 4)


def test_groups_of_the_roll_divide_every_width() -> None:
    assert decoded(dim=40, roll__groups=32).stages[0].block.token.roll.groups == 8


# The data


@pytest.mark.parametrize("location", ["", "freq", "time", "time,64x128"])
def test_spectrograms_are_the_same_every_time_with_equal_classes(location: str) -> None:
    data = Spectrograms(location)
    for split, number in (("train", 2_000), ("test", 500)):
        samples = data.load(split)
        assert np.array_equal(samples.images, data.load(split).images)
        assert samples.images.shape == (number, 1, *((64, 128) if "64x128" in location else (32, 32)))
        assert np.bincount(samples.labels).tolist() == [number // 4] * 4
    assert data.found() == "generated"


def test_harmonics_stand_at_the_spacing_of_their_class() -> None:
    """The strongest period of the mean spectrum over many images of a class, found by its cosine transform."""
    samples = Spectrograms("freq,64x32").load("train")
    spectra = samples.images[:, 0].astype(np.float64).mean(-1)
    spectra -= spectra.mean(1, keepdims=True)
    periods = np.array([5.0, 5.5, 6.0, 6.5])
    waves = np.exp(-2j * np.pi * np.arange(64) / periods[:, None])
    found = np.abs(spectra @ waves.T).argmax(1)
    assert (found == samples.labels).mean() > 0.9


def test_bursts_stand_in_the_order_and_at_the_gap_of_their_class() -> None:
    samples = Spectrograms("time").load("test")
    power = np.exp(samples.images[:, 0] / 255 * np.log(2_000)) ** 4  # the fourth power, or the noise weighs too
    upper, lower = power[:, 16:].sum(1), power[:, :16].sum(1)
    when = [(band * np.arange(32)).sum(1) / band.sum(1) for band in (lower, upper)]
    order, gap = when[0] > when[1], np.abs(when[0] - when[1]) > 10
    assert (2 * order + gap == samples.labels).mean() > 0.9


def test_a_place_that_names_no_spectrograms_is_answered_with_those_that_are() -> None:
    for location in ("speech", "time,8x32", "freq,32", "time,32x1024"):
        assert Spectrograms(location).found() is None
        with pytest.raises(FileNotFoundError, match="Expected time or freq, or one with its mel bins and frames, 16"):
            Spectrograms(location).load("train")
