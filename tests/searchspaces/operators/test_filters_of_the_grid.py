"""Filters over the frequencies of the grid: what they compute, what a circular shift does to them, published counts."""

import math

import pytest
import torch
from matrices import close, lively, random
from torch import Tensor

from searchspaces.architecture import Shape, TokenMixer
from searchspaces.freezing import Mixer
from searchspaces.operators.aff import AdaptiveFilter, Masking
from searchspaces.operators.gfilter import Filtering, GlobalFilter

SHAPES = [(8, 4, 6), (8, 5, 3), (16, 3, 7)]


def built(config: TokenMixer, shape: Shape) -> Mixer:
    torch.manual_seed(0)
    return lively(config.build(shape))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_global_filter_is_a_circular_convolution_with_a_window_as_large_as_the_grid(shape: Shape) -> None:
    mixer, x = built(GlobalFilter(), shape), random(2, *shape)
    assert isinstance(mixer, Filtering)
    window = torch.fft.irfft2(torch.view_as_complex(mixer.filter.pairs.detach()), s=shape[1:])
    expected = torch.zeros_like(x)
    for down in range(shape[1]):
        for right in range(shape[2]):
            expected += window[:, down, right, None, None] * x.roll((down, right), (2, 3))
    close(mixer(x), expected)


def mask_by_definition(mixer: Masking, spectrum: Tensor, act: torch.nn.Module, shrink: float) -> Tensor:
    """M with the four real products of every complex map; ``spectrum`` (B, C, H, bins)."""
    blocks = mixer.mask.biases[0].shape[0]
    cut = spectrum.unflatten(1, (blocks, -1))  # type: ignore[no-untyped-call]
    real, imaginary = cut.real, cut.imag
    for number, last in enumerate((torch.nn.Softshrink(shrink), act)[::-1]):
        w, bias = mixer.mask.maps[number], mixer.mask.biases[number]
        half = bias.shape[2] // 2
        product = lambda part, kind: torch.einsum("bnihw,nio->bnohw", part, w[kind])  # noqa: B023, E731
        real, imaginary = (
            product(real, 0) - product(imaginary, 1) + bias[:, 0, :half, None, None],
            product(imaginary, 0) + product(real, 1) + bias[:, 0, half:, None, None],
        )
        real, imaginary = last(real), last(imaginary)
    return torch.complex(real, imaginary).flatten(1, 2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "config",
    [AdaptiveFilter(), AdaptiveFilter(2, 2, 0.05, "gelu", residual=True, reads="magnitude", start=0.4)],
    ids=str,
)
def test_the_adaptive_filter_is_its_equation(config: AdaptiveFilter, shape: Shape) -> None:
    mixer, x = built(config, shape), random(2, *shape)
    assert isinstance(mixer, Masking)
    spectrum = torch.fft.rfft2(x, norm="ortho")
    read = spectrum.abs() + 0j if config.reads == "magnitude" else spectrum
    mask = mask_by_definition(mixer, read, mixer.mask.activation, config.shrink)
    filtered = torch.fft.irfft2(mask * spectrum, s=shape[1:], norm="ortho")
    close(mixer(x), x + filtered if config.residual else filtered)


@pytest.mark.parametrize(
    ("config", "moves"),
    [(GlobalFilter(), True), (AdaptiveFilter(reads="magnitude"), True), (AdaptiveFilter(start=0.4), False)],
    ids=str,
)
def test_a_circular_shift_moves_the_output_unless_the_mask_reads_phases(config: TokenMixer, moves: bool) -> None:
    mixer, x = built(config, (8, 5, 6)), random(2, 8, 5, 6)
    shifted, expected = mixer(x.roll((2, 1), (2, 3))), mixer(x).roll((2, 1), (2, 3))
    distance = torch.linalg.vector_norm(shifted - expected) / torch.linalg.vector_norm(expected)
    assert (distance < 1e-12) if moves else (distance > 0.05)


@pytest.mark.parametrize("residual", [False, True])
def test_the_adaptive_filter_starts_near_the_identity(residual: bool) -> None:
    torch.manual_seed(0)
    mixer, x = AdaptiveFilter(residual=residual).build((64, 8, 8)), torch.randn(2, 64, 8, 8)
    assert torch.linalg.vector_norm(mixer(x) - x) < 0.1 * torch.linalg.vector_norm(x)


def test_filters_are_computed_in_32_bits_under_automatic_casts() -> None:
    x = torch.randn(2, 8, 7, 6)
    for config in (GlobalFilter(), AdaptiveFilter()):
        mixer = config.build((8, 7, 6))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(mixer(x), mixer.float()(x))
        assert mixer(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("shape", "adaptive", "macs", "static"),
    [((64, 16, 16), 2_304, 0.59, 18_432), ((96, 14, 14), 4_992, 1.03, 21_504), ((256, 8, 8), 33_792, 2.62, 20_480)],
)
def test_counts_are_the_published_ones(shape: Shape, adaptive: int, macs: float, static: int) -> None:
    channels, height, width = shape
    cost, bins = AdaptiveFilter().cost(shape), height * (width // 2 + 1)
    assert cost.parameters == adaptive
    assert cost.macs == 8 * channels**2 // 8 * bins
    assert round(cost.macs / 1e6, 2) == macs
    assert (GlobalFilter().cost(shape).parameters, GlobalFilter().cost(shape).macs) == (static, 0)
    transforms = 5 * channels * height * width * math.log2(height * width)
    assert GlobalFilter().cost(shape).transform_flops == pytest.approx(transforms, abs=2)


def test_wrong_values_are_refused_with_what_can_be() -> None:
    with pytest.raises(ValueError, match=r"blocks must divide the channels, got blocks=8 for 12 channels.*1, 2, 3, 4"):
        AdaptiveFilter(8).build((12, 4, 4))
    with pytest.raises(ValueError, match=r"reads must be one of complex, magnitude, got 'phase'\."):
        AdaptiveFilter(reads="phase")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"start must be at least 1e-06, got 0\."):
        GlobalFilter(start=0)
