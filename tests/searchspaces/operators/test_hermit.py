"""Hermitian-frequency mixing: its readings, its costs, and which parameters are spatial."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from searchspaces.architecture import Shape
from searchspaces.operators.hermit import Axis, Hermit, HermitMixing
from searchspaces.operators.roll_token_mlp import RollTokenMLP


def literal(x: Tensor, norm: str = "ortho") -> Tensor:
    """The paper's chain along the first dimension, with all 2 (n - 1) values in between."""
    chain: Tensor = torch.fft.irfft(torch.fft.hfft(x, dim=0, norm=norm), n=len(x), dim=0, norm=norm)
    return chain


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


@pytest.mark.parametrize("make", [lambda: Hermit(activation="relu"), lambda: RollTokenMLP(4, activation="relu")])  # type: ignore[arg-type]
def test_an_activation_that_the_paper_does_not_use_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"activation must be one of gelu, silu, mish, acon-c, got 'relu'\."):
        make()
