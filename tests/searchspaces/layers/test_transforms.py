"""Facts of the Hermitian transform in float64, and the matrices that compute it."""

import pytest
import torch
from torch import Tensor, nn

from searchspaces.layers.transforms import (
    Along,
    FourierFilter,
    FrequencyMask,
    Gain,
    cosine_analysis,
    cosine_synthesis,
)

LENGTHS = (2, 3, 12, 49, 144, 600, 601)

every_length = pytest.mark.parametrize("n", LENGTHS)


def columns(n: int) -> Tensor:
    """Random real signals of length n, in float64, as columns."""
    return torch.randn(n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


def literal(x: Tensor, norm: str = "ortho") -> Tensor:
    """The paper's chain along the first dimension, with all 2 (n - 1) values in between."""
    chain: Tensor = torch.fft.irfft(torch.fft.hfft(x, dim=0, norm=norm), n=len(x), dim=0, norm=norm)
    return chain


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


MODULES = {
    "along": lambda: Along(torch.eye(6), 2),
    "gain": lambda: Gain((8, 1, 1)),
    "fourier": lambda: FourierFilter((8, 4, 1), 2),
    "mask": lambda: FrequencyMask(8, 2),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_trains_in_16_bits(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module: nn.Module = MODULES[name]()
        x, weight = torch.randn(3, 8, 6, 5), torch.randn(3, 8, 6, 5)
        expected = module(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = module(x.bfloat16().requires_grad_())
        (found.float() * weight).sum().backward()
    assert torch.linalg.vector_norm(found.float() - expected) < 0.02 * torch.linalg.vector_norm(expected)
