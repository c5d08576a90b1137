"""What a training costs on a GPU: against the plain PyTorch loop, against the limit of the device, several at once.

    python studies/benchmarks/gpu.py [--quick] [--device cuda|cpu]

Wall time between synchronisations, variants taking turns, medians. ``--quick`` takes tiny sizes, for a dry run on a
CPU. The tables of ``studies/README.md`` name the device that they were measured on.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training import OurWay, PlainWay, member  # beside this file

from nas.trial import TrialPlan, run_trial
from objectives import OBJECTIVES
from searchspaces import Architecture, Shape, Value, architecture_cost, build
from searchspaces.known.convmixer import convmixer
from searchspaces.layers.pointwise import Conv1x1
from trainers import Supervised, TrainingData
from trainers.samples import Samples
from trainers.supervised import Training


def images(shape: Shape, classes: int, number: int) -> TrainingData:
    """Random images whose classes can be told apart by their brightness."""
    generator = np.random.default_rng(0)
    labels = np.arange(number) % classes
    pixels = generator.integers(0, 128, (number, *shape), dtype=np.uint8)
    pixels += (labels * (127 // classes)).astype(np.uint8)[:, None, None, None]
    samples = Samples(pixels, labels, 255)
    few = Samples(pixels[:1000], labels[:1000], 255)
    names = tuple(str(n) for n in range(classes))
    return TrainingData(names, samples, few, (0.5,) * shape[0], (0.25,) * shape[0], True, 2)


def networks(quick: bool) -> Iterator[tuple[str, Architecture, int]]:
    """A network of each paper with the batch it is trained in, small ones and one that fills a device."""
    wide: dict[str, Value] = {"split": "64x64", "gamma": 2.0, "depth": 4}
    yield "digits ConvMixer", member("convmixer", (1, 8, 8), dim=32, depth=2, patch=1, kernel=3), 64
    if quick:
        return
    yield "ConvMixer-64/4", member("convmixer", dim=64, depth=4, patch=2, kernel=5), 64
    yield "SpaRTAN", member("spartan", stem_stride=2, stages=3, branches="hl"), 64
    yield "Mixer", member("wide_sparse", settings={"omega": 2**18}, kind="mixer", **wide), 64
    yield "RP-Mixer", member("wide_sparse", settings={"omega": 2**18}, kind="rp_mixer", **wide), 64
    yield "ASM-RH", member("asm_rh", (1, 64, 64)), 64
    yield "ResNet-20, d=9", member("resnet", layout="resnet20", multiplier=9, freeze="chans"), 64
    yield "ConvMixer-256/8", convmixer(256, 8, kernel=5, patch=2, side=32, classes=10), 512


class Clock:
    """Seconds of wall time once the device has done its work."""

    def __init__(self, device: str) -> None:
        self.device = device

    def __call__(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def taking_turns(self, works: dict[str, Callable[[], None]], repeats: int, each: int = 10) -> dict[str, float]:
        """Median milliseconds of each piece of work, over ``repeats`` turns of ``each`` runs; one turn to warm up."""
        times: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(repeats + 1):
            for name, work in works.items():
                started = self()
                for _ in range(each):
                    work()
                if turn:
                    times[name].append(1000 * (self() - started) / each)
        return {name: statistics.median(values) for name, values in times.items()}


def heading(title: str, *columns: str) -> None:
    """Title and head of a table."""
    print(f"\n## {title}\n\n| {' | '.join(columns)} |\n|---{'|--:' * (len(columns) - 1)}|", flush=True)


def plain_step(
    architecture: Architecture, data: TrainingData, batch: int, device: str, fast: bool
) -> Callable[[], None]:
    """A step as most scripts have it, images on the device already; ``fast``: with bf16 and channels last."""
    model = build(architecture, seed=0, fused=False).to(device).train()
    x = torch.tensor(data.train.images[:batch], device=device).float() / 255
    y = torch.tensor(data.train.labels[:batch], device=device)
    if fast:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=fast):
            loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        loss.item()

    return step


def our_step(
    architecture: Architecture, data: TrainingData, batch: int, device: str, *, augmented: bool, graphs: bool = True
) -> tuple[Callable[[], None], Training]:
    """A step of `Supervised`; with its augmentation, or on the same batch again and again."""
    settings = Supervised(epochs=1000, batch_size=batch, graphs=graphs)
    training = Training(settings, build(architecture, seed=0).to(device).train(), data, 0)
    numbers = torch.arange(batch, device=device)
    labels = training.labels[numbers]
    assert training.images is not None
    same = training.augment(training.images[numbers], training.generator, mix=False)

    def step() -> None:
        if augmented:
            batch_ = training.augment(training.images[numbers], training.generator, mix=True)  # type: ignore[index]
            training.update(batch_, labels)
        else:
            training.update(same, labels)
        training.step += 1

    return step, training


def steps(device: str, quick: bool) -> None:
    """A step of every network."""
    clock = Clock(device)
    ways = ("plain fp32", "plain bf16", "ours, no graph", "ours", "with augmentation", "plain / ours", "images/s")
    heading("A training step, ms", "network", "batch", *ways)
    for name, architecture, batch in networks(quick):
        data = images(architecture.input, architecture.classes, 2 * batch)
        ours, training = our_step(architecture, data, batch, device, augmented=False)
        works = {
            "fp32": plain_step(architecture, data, batch, device, fast=False),
            "bf16": plain_step(architecture, data, batch, device, fast=True),
            "eager": our_step(architecture, data, batch, device, augmented=False, graphs=False)[0],
            "ours": ours,
            "augmented": our_step(architecture, data, batch, device, augmented=True)[0],
        }
        try:
            t = clock.taking_turns(works, 2 if quick else 7, 2 if quick else 10)
        except RuntimeError as error:
            print(f"| {name} | {batch} | {str(error).splitlines()[0]} |")
            continue
        refused = training.graphs.refusal if training.graphs else ""
        print(
            f"| {name} | {batch} | {t['fp32']:.2f} | {t['bf16']:.2f} | {t['eager']:.2f} | {t['ours']:.3f} | "
            f"{t['augmented']:.3f} | {t['fp32'] / t['ours']:.1f} | {1000 * batch / t['augmented']:,.0f} |"
            + (f" not captured: {refused}" if refused else "")
        )


def limits(device: str, quick: bool) -> None:
    """Share of the peak of the device: matrix product, bandwidth, whole steps, and the operators of ConvMixer-256/8."""
    clock, n = Clock(device), 256 if quick else 8192
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    size = 10**6 if quick else 2 * 10**9
    one, two = torch.empty(size, dtype=torch.uint8, device=device), torch.empty(size, dtype=torch.uint8, device=device)
    t = clock.taking_turns(
        {
            "product": lambda: _none(torch.mm(a, b)),
            "copy": lambda: _none(two.copy_(one)),
        },
        3,
    )
    peak, bandwidth = 2 * n**3 / t["product"] * 1e3, 2 * size / t["copy"] * 1e3
    print(
        f"\nbf16 matrix product of {n}: {peak / 1e12:.0f} TFLOP/s; copy: {bandwidth / 1e9:,.0f} GB/s, read and written"
    )
    heading("Whole steps, backward as twice the forward", "network", "batch", "ms", "TFLOP/s", "of the matrix peak")
    for name, architecture, batch in networks(quick):
        data = images(architecture.input, architecture.classes, 2 * batch)
        step, _ = our_step(architecture, data, batch, device, augmented=False)
        spent = clock.taking_turns({"step": step}, 3, 2 if quick else 10)["step"] / 1e3
        flops = 6 * architecture_cost(architecture).macs_executed * batch
        print(f"| {name} | {batch} | {1e3 * spent:.3f} | {flops / spent / 1e12:.2f} | {flops / spent / peak:.1%} |")
    width, side, batch = (8, 8, 4) if quick else (256, 16, 512)
    x = torch.randn(batch, width, side, side, device=device, dtype=torch.bfloat16)
    x = x.contiguous(memory_format=torch.channels_last)
    heading(
        f"{width} channels, {side} x {side}, batch {batch}, bf16, forward",
        *("operator", "ms", "of the matrix peak", "of the bandwidth"),
    )
    moved = 2 * x.numel() * 2
    works: dict[str, tuple[nn.Module, int]] = {
        "pointwise": (Conv1x1(width, width), width * width),
        "depthwise 5 x 5": (nn.Conv2d(width, width, 5, padding=2, groups=width), 25 * width),
        "GELU": (nn.GELU(), 0),
        "batch norm": (nn.BatchNorm2d(width), 0),
    }
    with torch.no_grad():
        for name, (module, macs) in works.items():
            there = module.to(device, torch.bfloat16).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            spent = clock.taking_turns({"": lambda m=there: _none(m(x))}, 5)[""] / 1e3  # type: ignore[misc]
            flops = 2 * macs * batch * side * side
            print(f"| {name} | {1e3 * spent:.3f} | {flops / spent / peak:.1%} | {moved / spent / bandwidth:.1%} |")


def _none(_: Tensor) -> None:
    return None


def epochs(device: str, quick: bool) -> None:
    """Epochs of trainings: images by a DataLoader one by one, or resident and augmented in batches."""
    number, count = (600, 1) if quick else (10_000, 2)
    heading(f"An epoch of {number:,} colour images, s", "network", "batch", "plain", "ours", "plain / ours")
    for name, architecture, batch in networks(quick):
        if name not in ("digits ConvMixer", "ConvMixer-64/4", "ConvMixer-256/8"):
            continue
        data, settings = (
            images(architecture.input, architecture.classes, number),
            Supervised(epochs=count + 1, batch_size=batch),
        )
        plain = PlainWay(build(architecture, seed=0, fused=False).to(device), data, settings)
        ours = OurWay(build(architecture, seed=0).to(device), data, settings)
        if quick or name != "digits ConvMixer":
            for _ in plain.epochs():
                pass
        for _ in ours.epochs():
            pass
        spent = [sum(way.times[-1]) if way.times else float("nan") for way in (plain, ours)]
        print(f"| {name} | {batch} | {spent[0]:.2f} | {spent[1]:.3f} | {spent[0] / spent[1]:.1f} |")


def latency(device: str, quick: bool) -> None:
    """Latency of a forward pass of an exported network."""
    clock = Clock(device)
    heading("A forward pass in fp32, ms", "network", "1 image", "256 images")
    for name, architecture, _ in networks(quick):
        model = build(architecture, seed=0).to(device).eval()
        found = []
        with torch.inference_mode():
            for batch in (1, 8 if quick else 256):
                x = torch.rand(batch, *architecture.input, device=device)
                found.append(clock.taking_turns({"": lambda m=model, x=x: _none(m(x))}, 5)[""])  # type: ignore[misc]
        print(f"| {name} | {found[0]:.2f} | {found[1]:.2f} |")


def _worker(number: int, share: float, device: str, quick: bool, shape: Shape, folder: str) -> None:
    torch.set_num_threads(1)
    architecture = member("convmixer", shape, dim=32, depth=2, patch=1 if shape[1] == 8 else 2, kernel=3)
    data = images(shape, 10, 1_000 if shape[1] == 8 else 10_000)
    plan = TrialPlan(
        number=0, picks={}, architecture=architecture.to_json(), key=architecture.key, seed=0,
        trainer=Supervised(epochs=1 if quick else 10, batch_size=64 if shape[1] == 8 else 256),
        objectives={name: OBJECTIVES[name]() for name in ("accuracy", "robust_accuracy")},
        device=device, gpu_share=share,
    )  # fmt: skip
    warm = run_trial(replace(plan, trainer=replace(plan.trainer, epochs=1)), data).record
    assert warm.status == "complete", warm.error
    Path(folder, f"ready-{number}").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.01)
    started, done = time.monotonic(), 0
    while time.monotonic() - started < (2 if quick else 5):
        record = run_trial(replace(plan, seed=done), data).record
        assert record.status == "complete", record.error
        done += 1
    Path(folder, f"done-{number}").write_text(json.dumps([done, time.monotonic() - started]))


def trials(device: str, quick: bool) -> None:
    """Trials an hour with 1, 2, 4, 8 of them on the device at the same time, each in a process of its own."""
    heading(
        "Trials an hour at a time (10 epochs, accuracy, PGD on 400 images)",
        *("data", "1", "2", "4", "8", "4 against 1"),
    )
    context = multiprocessing.get_context("spawn")
    for name, shape in (("1,000 of 1 x 8 x 8, batch 64", (1, 8, 8)), ("10,000 of 3 x 32 x 32, batch 256", (3, 32, 32))):
        found = []
        for workers in (1, 2) if quick else (1, 2, 4, 8):
            with tempfile.TemporaryDirectory() as folder:
                processes = [
                    context.Process(target=_worker, args=(n, 1 / workers, device, quick, shape, folder))
                    for n in range(workers)
                ]
                for process in processes:
                    process.start()
                while len(list(Path(folder).glob("ready-*"))) < workers and all(p.is_alive() for p in processes):
                    time.sleep(0.05)
                Path(folder, "go").touch()
                for process in processes:
                    process.join()
                rates = [json.loads(path.read_text()) for path in Path(folder).glob("done-*")]
                found.append(sum(3600 * done / seconds for done, seconds in rates))
        ratio = found[2] / found[0] if len(found) > 2 else float("nan")
        print(f"| {name} | {' | '.join(f'{rate:,.0f}' for rate in found)} | {ratio:.2f} |", flush=True)


TABLES = {"limits": limits, "steps": steps, "latency": latency, "trials": trials, "epochs": epochs}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=list(TABLES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    where = torch.cuda.get_device_name() if options.device == "cuda" else "CPU, which says nothing of a GPU"
    print(f"torch {torch.__version__} on {where}")
    for name in options.tables:
        TABLES[name](options.device, options.quick)


if __name__ == "__main__":
    main()
