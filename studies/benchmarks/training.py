"""What a training costs here against the plain PyTorch way: epochs, steps, blocks.

    python studies/benchmarks/training.py [--images N] [--epochs E] [--repeats R]

The plain way: contiguous tensors, default AdamW, a DataLoader without workers, every image flipped, cropped and
normalised by itself, separable convolutions unfused. Process CPU time on one thread, variants taking turns, medians;
the ratios are what carries over to other machines. On a GPU, wall time between synchronisations; ``gpu.py`` says more.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from nas.problem import find_space
from nas.settings import read_settings
from objectives.accuracy import correct
from searchspaces import SEARCH_SPACES, Architecture, Shape, Value, build
from searchspaces.layers.separable import Separable
from trainers import DATASETS, Supervised, TrainingData, training_data
from trainers.supervised import Training

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CPU_GPU = "wall" if DEVICE == "cuda" else "CPU"


def clock() -> float:
    """CPU seconds of this process; on a GPU, seconds once it has done its work."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def taking_turns(repeats: int, works: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Median milliseconds of each piece of work; one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            started = clock()
            work()
            if turn:
                times[name].append(1000 * (clock() - started))
    return {name: statistics.median(values) for name, values in times.items()}


class OneByOne(Dataset[tuple[Tensor, int]]):
    """Images augmented and normalised one by one, as in most scripts."""

    def __init__(self, data: TrainingData, flip: bool, shift: int) -> None:
        self.images, self.labels = torch.from_numpy(data.train.images), data.train.labels
        self.mean, self.std = (torch.tensor(v)[:, None, None] for v in (data.mean, data.std))
        self.flip, self.shift = flip, shift

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x = self.images[index].float() / 255
        if self.flip and torch.rand(()) < 0.5:
            x = x.flip(2)
        if self.shift:
            top, left = torch.randint(2 * self.shift + 1, (2,)).tolist()
            x = F.pad(x, (self.shift,) * 4)[:, top : top + x.shape[1], left : left + x.shape[2]]
        return (x - self.mean) / self.std, int(self.labels[index])


@dataclass
class PlainWay:
    """A training loop as most scripts have it; ``times`` has the seconds for images and for steps of every epoch."""

    model: nn.Module
    data: TrainingData
    settings: Supervised
    times: list[tuple[float, float]] = field(default_factory=list)

    def epochs(self) -> Iterator[None]:
        torch.manual_seed(0)
        self.model.normalize = nn.Identity()  # images come normalised
        loader = DataLoader(
            OneByOne(self.data, self.data.flip, self.data.shift), self.settings.batch_size, shuffle=True
        )
        groups = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(groups, self.settings.learning_rate, weight_decay=self.settings.weight_decay)
        total = self.settings.epochs * len(loader)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.settings.learning_rate, total, pct_start=0.2)
        self.model.train()
        for _ in range(self.settings.epochs):
            started = before = clock()
            stepping = 0.0
            for x, y in loader:
                here = clock()
                x, y = x.to(DEVICE), y.to(DEVICE)
                optimizer.zero_grad()
                F.cross_entropy(self.model(x), y).backward()
                nn.utils.clip_grad_norm_(groups, self.settings.clip_norm)
                optimizer.step()
                schedule.step()
                before = clock()
                stepping += before - here
            self.times.append((clock() - started - stepping, stepping))
            yield
        self.model.eval()


@dataclass
class OurWay:
    """The same training by `Supervised`, with the same two clocks."""

    model: nn.Module
    data: TrainingData
    settings: Supervised
    times: list[tuple[float, float]] = field(default_factory=list)

    def epochs(self) -> Iterator[None]:
        training = Training(self.settings, self.model, self.data, 0)
        step, stepping = training.update, 0.0

        def timed(*arguments: object) -> None:
            nonlocal stepping
            started = clock()
            step(*arguments)  # type: ignore[arg-type]
            stepping += clock() - started

        training.update = timed  # type: ignore[method-assign,assignment]
        for _ in range(self.settings.epochs):
            started, stepping = clock(), 0.0
            for _ in training.steps():
                pass
            training.end_epoch()
            self.times.append((clock() - started - stepping, stepping))
            yield
        training.end()


def member(
    space: str, shape: Shape = (3, 32, 32), settings: Mapping[str, Any] = MappingProxyType({}), **picks: Value
) -> Architecture:
    """A network of a search space with these settings; what is not named stays at its first option."""
    narrowed = SEARCH_SPACES[space](shape, 10, **settings).narrow(picks)
    return narrowed.decode(narrowed.first)


def epoch_networks(data: TrainingData) -> Iterator[Architecture]:
    """The quickstart's space: its first network, and a pyramid of four blocks; and a ConvMixer."""
    settings = read_settings(Path(__file__).parents[1] / "quickstart.toml")
    space = find_space(settings, data.input, len(data.classes))
    yield space.decode(space.first)
    yield space.decode({**space.first, "layout": "pyramid", "depth": 4})
    yield member("convmixer", data.input, dim=32, depth=4, patch=2)


def epochs(images: int, number: int) -> None:
    """Whole epochs on Fashion-MNIST, images and steps apart; both ways take turns, epoch by epoch."""
    data = training_data(DATASETS["fashion_mnist"](), limit=images * 5 // 4, validation=0.2, seed=0)
    settings = Supervised(epochs=number)
    print(f"\nEpochs on {len(data.train):,} images of Fashion-MNIST, {CPU_GPU} seconds, medians of {number}")
    for architecture in epoch_networks(data):
        print(f"{architecture.label()}\n{'':8}{'images':>10}{'steps':>10}{'epoch':>10}{'accuracy':>10}")
        plain = PlainWay(build(architecture, seed=0, fused=False).to(DEVICE), data, settings)
        ours = OurWay(build(architecture, seed=0).to(DEVICE), data, settings)
        mean, std = (torch.tensor(v, device=DEVICE) for v in (data.mean, data.std))
        ours.model.normalize.mean.copy_(mean)
        ours.model.normalize.std.copy_(std)
        for _ in zip(plain.epochs(), ours.epochs(), strict=True):
            pass
        x, y = data.validation.tensors(DEVICE)
        whole = {}
        for name, way, seen in (("plain", plain, (x - mean[:, None, None]) / std[:, None, None]), ("ours", ours, x)):
            loading, stepping = (statistics.median(part) for part in zip(*way.times, strict=True))
            whole[name] = loading + stepping
            accuracy = float(correct(way.model, seen, y).double().mean())
            print(f"{name:8}{loading:10.2f}{stepping:10.2f}{whole[name]:10.2f}{accuracy:10.4f}")
        print(f"ours / plain: {whole['ours'] / whole['plain']:.2f} (goal: 0.60 or less)")


def step_of(model: nn.Module, x: Tensor, y: Tensor, *, fast: bool) -> Callable[[], None]:
    """One training step of ``model``, as we make it or in the plain way."""
    model = model.to(DEVICE).train()
    x, y = x.to(DEVICE), y.to(DEVICE)
    if fast:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, 1e-3, fused=True) if fast else torch.optim.AdamW(parameters, 1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def separable(repeats: int) -> None:
    """A frozen separable layer, d = 9, 32 -> 32 channels, 16x16, batch 64; and whole ResNets of them."""
    x = torch.rand(64, 32, 16, 16, device=DEVICE)
    layers = {}
    for name in ("unfused", "fused"):
        layer = Separable(32, multiplier=9).build((32, 16, 16), "chans").to(DEVICE)
        layer.depthwise.requires_grad_(False)
        layer.fused = name == "fused"
        layers[name] = layer

    def both(layer: nn.Module) -> Callable[[], None]:
        def run() -> None:
            inputs = x.clone().requires_grad_()
            layer(inputs).sum().backward()

        return run

    times = taking_turns(repeats, {name: both(layer) for name, layer in layers.items()})
    ratio = times["unfused"] / times["fused"]
    print("\nSeparable convolution with frozen filters, d = 9, forward and backward")
    print(f"layer 32 -> 32, 16x16, batch 64: {times['unfused']:.1f} / {times['fused']:.1f} ms = {ratio:.1f} (goal: 5)")
    for layout, goal in (("resnet20", ", goal: 2.5"), ("resnet18", "")):
        width = 0.25 if layout == "resnet18" else 1.0
        architecture = member("resnet", layout=layout, multiplier=9, width=width, freeze="chans")
        x_, y_ = torch.rand(32, 3, 32, 32), torch.randint(10, (32,))
        works = {n: step_of(build(architecture, fused=n == "fused"), x_, y_, fast=True) for n in ("unfused", "fused")}
        times = taking_turns(max(2, repeats // 3), works)
        ratio = times["unfused"] / times["fused"]
        print(
            f"step of {layout} (width {width:g}), batch 32: "
            f"{times['unfused']:.0f} / {times['fused']:.0f} ms = {ratio:.1f}{goal}"
        )


def networks() -> Iterator[tuple[str, Architecture]]:
    """One small network of each paper, for 3x32x32 images (ASM-RH: 1x64x64 spectrograms)."""
    wide: dict[str, Value] = {"split": "64x64", "gamma": 2.0, "depth": 4}
    yield "ConvMixer", member("convmixer", dim=64, depth=4, patch=2, kernel=5)
    yield "SpaRTAN", member("spartan", stem_stride=2, stages=3, branches="hl")
    yield "Mixer", member("wide_sparse", settings={"omega": 2**18}, kind="mixer", **wide)
    yield "RP-Mixer", member("wide_sparse", settings={"omega": 2**18}, kind="rp_mixer", **wide)
    yield "ASM-RH", member("asm_rh", (1, 64, 64))


def steps(repeats: int) -> None:
    """A training step of every paper's network, batch 64."""
    print(f"\nTraining steps, batch 64, {CPU_GPU} ms")
    print(f"{'':12}{'plain':>9}{'ours':>9}{'ratio':>8}   network")
    found = {}
    for name, architecture in networks():
        x = torch.rand(64, *architecture.input)
        y = torch.randint(architecture.classes, (64,))
        works = {
            way: step_of(build(architecture, seed=0, fused=way == "ours"), x, y, fast=way == "ours")
            for way in ("plain", "ours")
        }
        found[name] = times = taking_turns(repeats, works)
        ratio = times["ours"] / times["plain"]
        print(f"{name:12}{times['plain']:9.1f}{times['ours']:9.1f}{ratio:8.2f}   {architecture.label()}")
    print(f"RP-Mixer / Mixer: {found['RP-Mixer']['ours'] / found['Mixer']['ours']:.2f} (goal: 1.20 or less)")


def together(repeats: int, number: int = 4) -> None:
    """One step of several equal networks as a batch of networks (`torch.func`), against a step of each by itself."""
    name, architecture = next(networks())
    x, y = torch.rand(64, *architecture.input, device=DEVICE), torch.randint(10, (64,), device=DEVICE)
    models = [build(architecture, seed=seed).to(DEVICE).train() for seed in range(number)]
    parameters, buffers = torch.func.stack_module_state(models)
    skeleton = build(architecture).to("meta").train()
    optimizer = torch.optim.AdamW(list(parameters.values()), 1e-3, fused=True)

    def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(skeleton, (parameters, buffers), (x,)), y)

    def at_once() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.vmap(loss, randomness="different")(parameters, buffers).sum().backward()
        optimizer.step()

    alone = [step_of(build(architecture, seed=seed), x, y, fast=True) for seed in range(number)]

    def one_by_one() -> None:
        for step in alone:
            step()

    times = taking_turns(repeats, {"at once": at_once, "one by one": one_by_one})
    print(
        f"\nA step of {number} networks at once (stacked weights, vmap) and one after the other, batch 64, {CPU_GPU} ms"
    )
    ratio = times["at once"] / times["one by one"]
    print(f"{name}: {times['at once']:.1f} / {times['one by one']:.1f} ms = {ratio:.2f}   {architecture.label()}")


def main() -> None:
    """Prints all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    np.random.seed(0)
    print(f"torch {torch.__version__}, {DEVICE}, one thread, {CPU_GPU} time")
    separable(options.repeats)
    steps(options.repeats)
    together(options.repeats)
    epochs(options.images, options.epochs)


if __name__ == "__main__":
    main()
