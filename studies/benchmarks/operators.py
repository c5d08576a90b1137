"""What mixers take, forward and backward, against the plainest PyTorch form of the same formula.

    python studies/benchmarks/operators.py [--channels C] [--side N] [--batch B] [--repeats R]

Both forms share their weights; their outputs are compared first. Process CPU time on one thread, variants taking turns,
medians, channels-last images; on a GPU, wall time between synchronisations.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from searchspaces.architecture import ChannelMixer, TokenMixer
from searchspaces.layers.scan import selective_scan
from searchspaces.operators.aff import AdaptiveFilter
from searchspaces.operators.attention import Attention
from searchspaces.operators.channel_aggregation import ChannelAggregation
from searchspaces.operators.cheb_kan import ChebyshevKan
from searchspaces.operators.dsm import SpectrumMixer, band_of
from searchspaces.operators.gfilter import GlobalFilter
from searchspaces.operators.grn_mlp import GrnMlp
from searchspaces.operators.hourglass import Hourglass
from searchspaces.operators.rbf_kan import GaussianKan
from searchspaces.operators.shift_mlp import ShiftMlp
from searchspaces.operators.strip import StripMap
from searchspaces.operators.token_mlp import TokenMLP

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Form = Callable[..., Tensor]


def clock() -> float:
    """CPU seconds of this process; on a GPU, seconds once it has done its work."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def attention(m: Any, x: Tensor) -> Tensor:
    t = x.flatten(2).transpose(1, 2)
    batch, tokens, channels = t.shape
    q, k, v = (f(t).view(batch, tokens, m.heads, -1).transpose(1, 2) for f in (m.query, m.key, m.value))
    mixed = (q @ k.transpose(-1, -2) * (channels / m.heads) ** -0.5).softmax(-1) @ v
    y: Tensor = m.out(mixed.transpose(1, 2).reshape(batch, tokens, channels))
    return y.transpose(1, 2).reshape(x.shape)


def gfilter(m: Any, x: Tensor) -> Tensor:
    spectrum = torch.fft.rfft2(x, norm="ortho") * torch.view_as_complex(m.filter.pairs)
    return torch.fft.irfft2(spectrum, s=x.shape[2:], norm="ortho")


def aff(m: Any, x: Tensor) -> Tensor:
    spectrum = torch.fft.rfft2(x, norm="ortho")
    (w1, w2), blocks = m.mask.maps, m.mask.maps[0].shape[1]
    (b1r, b1i), (b2r, b2i) = ([half[..., None, None] for half in b[:, 0].chunk(2, 1)] for b in m.mask.biases)
    cut = spectrum.reshape(len(x), blocks, -1, *spectrum.shape[2:])

    def product(part: Tensor, weight: Tensor) -> Tensor:
        return torch.einsum("bnihw,nio->bnohw", part, weight)

    r1 = F.relu(product(cut.real, w1[0]) - product(cut.imag, w1[1]) + b1r)
    i1 = F.relu(product(cut.imag, w1[0]) + product(cut.real, w1[1]) + b1i)
    r2 = product(r1, w2[0]) - product(i1, w2[1]) + b2r
    i2 = product(i1, w2[0]) + product(r1, w2[1]) + b2i
    mask = torch.complex(F.softshrink(r2, m.mask.shrink), F.softshrink(i2, m.mask.shrink)).reshape(spectrum.shape)
    return torch.fft.irfft2(mask * spectrum, s=x.shape[2:], norm="ortho")


def dsm(m: Any, x: Tensor) -> Tensor:
    down, right = m.forth[0].matrix, m.forth[1].matrix
    spectrum = down @ x @ right.T
    bands = band_of(*x.shape[2:], m.bands, "zigzag").to(x.device)
    means = torch.stack([spectrum.flatten(2)[..., bands == k].mean(-1) for k in range(m.bands)], -1)
    gains = m.bands * m.maps(m.norm(means)).softmax(-1)
    return down.T @ (spectrum * gains[..., bands].view(x.shape)) @ right


def strip(m: Any, x: Tensor) -> Tensor:
    """Line by line."""
    groups, length, kernel = m.conv.groups, x.shape[3], m.conv.kernel_size[0]
    weight, bias = m.conv.weight.view(groups, length, length, kernel), m.conv.bias.view(groups, length)
    rows = F.pad(x, (0, 0, kernel // 2, kernel // 2)).unflatten(1, (-1, groups))
    lines = [
        torch.einsum("bpgkw,gowk->bpgo", rows[..., line : line + kernel, :], weight) + bias
        for line in range(x.shape[2])
    ]
    return torch.stack(lines, 3).reshape(x.shape)


def scan(delta: Tensor, u: Tensor, b: Tensor, c: Tensor, a: Tensor) -> Tensor:
    """Token by token."""
    h, outputs, driven = u.new_zeros(*u.shape[:2], *a.shape[1:]), [], delta * u
    for t in range(u.shape[2]):
        h = torch.exp(delta[:, :, t, None] * a[:, None]) * h + driven[:, :, t, None] * b[:, :, t, :, None]
        outputs.append((h * c[:, :, t, :, None]).sum(2))
    return torch.stack(outputs, 2)


def grn_mlp(m: Any, x: Tensor) -> Tensor:
    h = F.gelu(m.expand(m.norm(m.depthwise(x))))
    norms = torch.linalg.vector_norm(h, dim=(2, 3), keepdim=True)
    n = norms / (norms.mean(1, keepdim=True) + 1e-6)
    y: Tensor = m.reduce(m.response.gamma * (h * n) + m.response.beta + h)
    return y


def hourglass(m: Any, x: Tensor) -> Tensor:
    y = x
    for step in m.steps:
        y = y + step.up(F.gelu(step.down(step.norm(y))))
    return y - x


def cheb_kan(m: Any, x: Tensor) -> Tensor:
    angle = torch.tanh(x).acos()
    basis = torch.stack([torch.cos(k * angle) for k in range(m.degree + 1)])
    coefficients = torch.stack([m.constant, *m.coefficients.chunk(m.degree, 1)])
    return torch.einsum("kbihw,koi->bohw", basis, coefficients)


def rbf_kan(m: Any, x: Tensor) -> Tensor:
    rows = x.permute(0, 2, 3, 1)
    centres = m.width * m.places[:, 0]
    basis = torch.exp(-(((m.norm(rows)[..., None] - centres) / m.width) ** 2))  # (B, H, W, C, G)
    weight = m.wide.weight.unflatten(1, (len(centres), -1))
    y: Tensor = torch.einsum("bhwig,ogi->bhwo", basis, weight) + m.beside(F.silu(rows))
    return y.permute(0, 3, 1, 2)


def shift_mlp(m: Any, x: Tensor) -> Tensor:
    def power(w: Tensor) -> Tensor:
        return w + (w.sign() * 2 ** w.abs().log2().round().clamp(1 - 2 ** (m.bits - 1), 0) - w).detach()

    h = F.gelu(F.linear(x.permute(0, 2, 3, 1), power(m.up.weight), m.up.bias))
    return F.linear(h, power(m.down.weight), m.down.bias).permute(0, 3, 1, 2)


def monarch(m: Any, x: Tensor) -> Tensor:
    up, down = m.mlp.up, m.mlp.down
    rows = x.flatten(2)  # (B, C, N)
    biases = [layer.bias.view(x.shape[1], -1) for layer in (up, down)]
    hidden = F.gelu(torch.einsum("bcn,chn->bch", rows, up.weight) + biases[0])
    return (torch.einsum("bch,cnh->bcn", hidden, down.weight) + biases[1]).view(x.shape)


def channel_aggregation(m: Any, x: Tensor) -> Tensor:
    h = F.gelu(m.depthwise(m.expand(x)))
    y: Tensor = m.reduce(h + m.aggregation.gamma * (h - F.gelu(m.aggregation.mixture(h))))
    return y


def step(form: Form, inputs: list[Tensor]) -> Callable[[], None]:
    """A forward and a backward pass."""

    def work() -> None:
        y = form(*inputs)
        y.backward(torch.ones_like(y))

    return work


def compared(name: str, ours: Form, plain: Form, inputs: list[Tensor], repeats: int) -> str:
    """The line of the table."""
    with torch.no_grad():
        one, other = ours(*inputs), plain(*inputs)
        assert (one - other).abs().max() < 1e-3 * other.abs().max(), name
    works = {"plain": step(plain, inputs), "ours": step(ours, inputs)}
    times: dict[str, list[float]] = {form: [] for form in works}
    for turn in range(repeats + 1):
        for form, work in works.items():
            started = clock()
            work()
            if turn:
                times[form].append(1000 * (clock() - started))
    first, second = (statistics.median(times[form]) for form in works)
    return f"| {name} | {first:.1f} | {second:.1f} | {first / second:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("channels", 64), ("side", 16), ("batch", 64), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = (args.channels, args.side, args.side)
    images = torch.randn(args.batch, *shape, device=DEVICE).contiguous(memory_format=torch.channels_last)
    print("| operator | plain, ms | ours, ms | times as fast |\n|---|--:|--:|--:|")
    mixers: dict[str, tuple[TokenMixer | ChannelMixer, Form]] = {
        "`attention`": (Attention(), attention),
        "`attention`, 4 heads": (Attention(heads=4), attention),
        "`gfilter`": (GlobalFilter(), gfilter),
        "`aff`": (AdaptiveFilter(), aff),
        "`dsm`": (SpectrumMixer(), dsm),
        "`grn_mlp`": (GrnMlp(), grn_mlp),
        "`hourglass`": (Hourglass(), hourglass),
        "`cheb_kan`, plain: by cosines": (ChebyshevKan(), cheb_kan),
        "`rbf_kan`": (GaussianKan(), rbf_kan),
        "`shift_mlp`": (ShiftMlp(), shift_mlp),
        "`monarch_mlp`": (TokenMLP(1.0, shared=False), monarch),
        "`channel_aggregation`": (ChannelAggregation(), channel_aggregation),
    }
    for name, (config, plain) in mixers.items():
        module = config.build(shape).to(DEVICE)
        inputs = [images.clone(memory_format=torch.preserve_format).requires_grad_()]
        print(compared(name, module, lambda x, m=module, f=plain: f(m, x), inputs, args.repeats))  # type: ignore[misc]
    rows = StripMap(args.channels // 8, args.side, 3).to(DEVICE)
    half = images[:, : args.channels // 2].clone().requires_grad_()
    print(compared("rows of `strip`, plain: line by line", rows, lambda x: strip(rows, x), [half], args.repeats))
    tokens, inner = args.side**2, 2 * args.channels
    sizes = [(1, args.batch, tokens, n) for n in (inner, inner, 16, 16)]
    given = [torch.randn(*size, device=DEVICE) for size in sizes]
    given = [F.softplus(given[0] - 2), *given[1:], -16 * torch.rand(1, 16, inner, device=DEVICE)]
    given = [t.detach().requires_grad_() for t in given]
    print(compared("one scan of `s6`, plain: token by token", selective_scan, scan, given, min(args.repeats, 2)))


if __name__ == "__main__":
    main()
