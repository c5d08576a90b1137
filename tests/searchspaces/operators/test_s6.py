"""The selective scan against a loop over the tokens, its directions, published counts."""

import pytest
import torch
import torch.nn.functional as F
from matrices import close, lively, random
from torch import Tensor

from searchspaces.architecture import Shape
from searchspaces.layers import scan
from searchspaces.layers.scan import selective_scan
from searchspaces.operators.s6 import Scanning, SelectiveScan


def token_by_token(delta: Tensor, u: Tensor, b: Tensor, c: Tensor, a: Tensor) -> Tensor:
    h = torch.zeros(*delta.shape[:2], a.shape[1], a.shape[2], dtype=torch.float64)
    outputs = []
    for t in range(delta.shape[2]):
        h = torch.exp(delta[:, :, t, None] * a[:, None]) * h + (delta * u)[:, :, t, None] * b[:, :, t, :, None]
        outputs.append((h * c[:, :, t, :, None]).sum(2))
    return torch.stack(outputs, 2)


def inputs(tokens: int, scale: float = 1.0) -> list[Tensor]:
    delta, u = F.softplus(random(2, 3, tokens, 4)), random(2, 3, tokens, 4) + 1
    b, c = random(2, 3, tokens, 5), random(2, 3, tokens, 5) - 1
    return [t.requires_grad_() for t in (delta, u, b, c, -scale * random(2, 5, 4).abs())]


@pytest.mark.parametrize("tokens", [1, 2, 7, 12, 16, 30])
def test_the_scan_and_its_gradients_are_those_of_a_loop_over_the_tokens(tokens: int) -> None:
    given, weight = inputs(tokens), random(2, 3, tokens, 4)
    found, expected = selective_scan(*given), token_by_token(*given)
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-11)
    gradients = (torch.autograd.grad(y, given, weight) for y in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-11)


def test_decays_that_reach_zero_overflow_nowhere() -> None:
    given = inputs(30, scale=1e4)
    found = selective_scan(*given)
    torch.testing.assert_close(found, token_by_token(*given), atol=1e-11, rtol=1e-11)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(found.sum(), given))


def test_groups_of_rows_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    given = inputs(12)
    at_once = selective_scan(*given)
    monkeypatch.setattr(scan, "CACHED", 1)
    close(selective_scan(*given), at_once)


@pytest.mark.parametrize("directions", [1, 2, 4])
def test_the_mixer_scans_rows_and_columns_forward_and_backward(directions: int) -> None:
    shape = (6, 3, 5)
    mixer, x = lively(SelectiveScan(4, directions=directions).build(shape)), random(2, *shape)
    assert isinstance(mixer, Scanning)
    u, z = mixer.inward(x).chunk(2, 1)
    u, scans, total = F.silu(mixer.depthwise(u)), mixer.scans, torch.zeros(2, 12, 3, 5, dtype=torch.float64)
    for way, (columns, backward) in enumerate(
        {1: [(0, 0)], 2: [(0, 0), (0, 1)]}.get(directions, [(0, 0), (1, 0), (0, 1), (1, 1)])
    ):
        grid = u.transpose(2, 3) if columns else u
        t = grid.flatten(2).transpose(1, 2)  # (B, N, E)
        t = t.flip(1) if backward else t
        rank, b, c = torch.split(t @ scans.read[way], [1, 4, 4], 2)
        steps = F.softplus(rank @ scans.widen[way] + scans.bias[way])
        y = (
            token_by_token(*(v[None] for v in (steps, t, b, c)), -scans.decays[way].exp()[None])[0]
            + scans.skip[way] * t
        )
        y = (y.flip(1) if backward else y).transpose(1, 2).reshape(grid.shape)
        total += y.transpose(2, 3) if columns else y
    expected = mixer.outward(mixer.norm(total) * F.silu(z))
    torch.testing.assert_close(mixer(x), expected, atol=1e-10, rtol=1e-10)


def test_step_sizes_start_between_a_thousandth_and_a_tenth() -> None:
    mixer = SelectiveScan().build((64, 4, 4))
    assert isinstance(mixer, Scanning)
    steps = F.softplus(mixer.scans.bias)
    assert 1e-3 <= steps.min() < 2e-3
    assert 0.05 < steps.max() <= 0.1001


@pytest.mark.parametrize(
    ("shape", "parameters", "macs"),
    [((64, 16, 16), 55_808, 18.1), ((96, 14, 14), 105_216, 25.0), ((256, 8, 8), 567_296, 40.1)],
)
def test_counts_are_the_published_ones(shape: Shape, parameters: int, macs: float) -> None:
    cost = SelectiveScan().cost(shape)
    assert cost.parameters == parameters
    # Published are three multiply-accumulates for each state: the scan's own two are element-wise operations here.
    states = 4 * 2 * shape[0] * 16 * shape[1] * shape[2]
    assert round((cost.macs + 2 * states) / 1e6, 1) == macs


def test_wrong_values_are_refused_with_what_can_be() -> None:
    with pytest.raises(ValueError, match=r"directions must be one of 1, 2, 4, got 3\."):
        SelectiveScan(directions=3)
    with pytest.raises(ValueError, match=r"kernel of s6 must be odd, got 4\. Take 3 or 5\."):
        SelectiveScan(kernel=4)
