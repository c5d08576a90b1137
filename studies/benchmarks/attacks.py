"""What attacks cost and find: ours beside foolbox, torchattacks and pyautoattack, and how cheap ones rank networks.

    python studies/benchmarks/attacks.py [--images 1000] [--candidates 30] [--ladder-images 200] [--tables NAME ...]

Fashion-MNIST is read from ``NAS_DATA``; without it its rows are missing. CPU seconds of this process on one thread,
libraries taking turns. torchattacks declares packages that the project keeps out:
``pip install --no-deps torchattacks==3.5.1``; without it its columns are empty.
"""

import argparse
import importlib
import importlib.util
import logging
import os
import random
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from kept import keep, kept
from torch import Tensor, nn

from objectives.attacks import ATTACKS
from searchspaces import SEARCH_SPACES, Architecture, build
from trainers import DATASETS, Supervised, TrainingData, training_data

Perturb = Callable[[Tensor, Tensor], Tensor]


def small(data: TrainingData) -> Architecture:
    """A ConvMixer-32/2 for ``data``."""
    space = SEARCH_SPACES["convmixer"](data.input, len(data.classes))
    narrowed = space.narrow({"dim": 32, "depth": 2, "patch": 1 if data.input[1] < 16 else 2, "kernel": 3})
    return narrowed.decode(narrowed.first)


def trained(
    data: TrainingData, architecture: Architecture | None = None, *, seed: int = 0, epochs: int = 20
) -> nn.Module:
    """A network (that of `small`) trained on ``data``, as it is while it is attacked."""
    architecture = architecture or small(data)
    model = build(architecture, seed=seed)
    model.normalize.mean.copy_(torch.tensor(data.mean))
    model.normalize.std.copy_(torch.tensor(data.std))
    Supervised(epochs=epochs, batch_size=64).train(model, data, seed=seed, report=lambda _: None)
    return model.eval().requires_grad_(False)


def survivors(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Percentage of the images that are classified as their labels say."""
    with torch.no_grad():
        return 100 * float((model(images).argmax(1) == labels).double().mean())


def in_batches(perturb: Perturb, images: Tensor, labels: Tensor, batch: int = 500) -> Tensor:
    """The attacked images, attacked so many at a time."""
    return torch.cat([perturb(x, y) for x, y in zip(images.split(batch), labels.split(batch), strict=True)])


def ours(name: str, model: nn.Module, epsilon: float, **options: object) -> Perturb:
    """An attack of the table."""
    attack = ATTACKS[name](epsilon, **options)
    return lambda x, y: attack.perturb(model, x, y)


def of_foolbox(name: str, model: nn.Module, epsilon: float, **options: object) -> Perturb | None:
    """The same by foolbox."""
    if importlib.util.find_spec("foolbox") is None:
        return None
    foolbox = importlib.import_module("foolbox")
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    steps = int(options.get("steps", 10))  # type: ignore[call-overload]
    attacks = {
        "fgsm": lambda: foolbox.attacks.FGSM(random_start=False),
        "pgd": lambda: foolbox.attacks.LinfPGD(rel_stepsize=2.5 / steps, steps=steps, random_start=False),
    }
    if name not in attacks:
        return None
    attack = attacks[name]()
    return lambda x, y: attack(wrapped, x, y, epsilons=epsilon)[1].detach()


def of_torchattacks(name: str, model: nn.Module, epsilon: float, **options: object) -> Perturb | None:
    """The same by torchattacks."""
    if importlib.util.find_spec("torchattacks") is None:
        return None
    torchattacks = importlib.import_module("torchattacks")
    steps = int(options.get("steps", 10))  # type: ignore[call-overload]
    size = 2.5 * epsilon / steps
    attacks = {
        "fgsm": lambda: torchattacks.FGSM(model, eps=epsilon),
        "pgd": lambda: torchattacks.PGD(model, eps=epsilon, alpha=size, steps=steps, random_start=False),
        "apgd": lambda: torchattacks.APGD(
            model, eps=epsilon, steps=steps, loss=options.get("loss", "ce"), n_restarts=1
        ),
        "square": lambda: torchattacks.Square(model, eps=epsilon, n_queries=options.get("queries", 500), n_restarts=1),
    }
    if name not in attacks:
        return None
    attack = attacks[name]()
    return lambda x, y: attack(x, y).detach()


def of_pyautoattack(name: str, model: nn.Module, epsilon: float, **options: object) -> Perturb | None:
    """The same by pyautoattack."""
    if importlib.util.find_spec("pyautoattack") is None:
        return None
    if name == "apgd":
        base = importlib.import_module("pyautoattack.autopgd_base")
        loss = "dlr" if options.get("loss") == "dlr" else "ce"
        judge = base.APGDAttack(
            model, n_iter=options["steps"], norm="Linf", n_restarts=1, eps=epsilon, seed=0, loss=loss, device="cpu"
        )
    elif name == "square":
        base = importlib.import_module("pyautoattack.square")
        judge = base.SquareAttack(
            model, n_queries=options["queries"], eps=epsilon, norm="Linf", n_restarts=1, seed=0, device="cpu"
        )
    else:
        return None
    return lambda x, y: judge.perturb(x, y).detach()


RADII = (1, 2, 4, 8)
LIBRARIES = {"ours": ours, "foolbox": of_foolbox, "torchattacks": of_torchattacks, "pyautoattack": of_pyautoattack}
RUNGS: dict[str, tuple[str, dict[str, object]]] = {
    "FGSM": ("fgsm", {}),
    "PGD-10": ("pgd", {"steps": 10}),
    "PGD-20": ("pgd", {"steps": 20}),
    "margin, 10 steps": ("margin", {"steps": 10}),
    "APGD-20": ("apgd", {"steps": 20}),
    "APGD-100": ("apgd", {"steps": 100}),
    "APGD-100, dlr": ("apgd", {"steps": 100, "loss": "dlr"}),
    "Square, 500 queries": ("square", {"queries": 500}),
    "noise, 8 tries": ("noise", {"tries": 8}),
}


def agreement(sets: dict[str, TrainingData], images: int) -> None:
    """Robust accuracy at several radii, ours and by foolbox."""
    print(f"\n## Robust accuracy on {images:,} images, %: ours / foolbox\n")
    print("| data, attack | " + " | ".join(f"{radius}/255" for radius in RADII) + " |\n|---|" + "--:|" * len(RADII))
    for name, data in sets.items():
        model = trained(data)
        pixels, labels = data.validation.tensors("cpu")
        x, y = pixels[:images], labels[:images]
        for rung in ("FGSM", "PGD-10", "PGD-20"):
            kind, options = RUNGS[rung]
            cells = []
            for radius in RADII:
                perturbs = [make(kind, model, radius / 255, **options) for make in (ours, of_foolbox)]
                cells.append(" / ".join(f"{survivors(model, in_batches(p, x, y), y):.1f}" for p in perturbs if p))
            print(f"| {name}, {rung} | {' | '.join(cells)} |", flush=True)


def seconds(name: str, data: TrainingData, images: int, epsilon: float, repeats: int = 3) -> None:
    """Robust accuracy and CPU seconds of every attack by every library."""
    model = trained(data)
    pixels, labels = data.validation.tensors("cpu")
    x, y = pixels[:images], labels[:images]
    print(f"\n## {name}: {len(y):,} images, {survivors(model, x, y):.1f} % clean, radius {255 * epsilon:g}/255\n")
    print("| attack | " + " | ".join(f"{library}, % | s" for library in LIBRARIES) + " |")
    print("|---|" + "--:|" * (2 * len(LIBRARIES)))
    for rung, (kind, options) in RUNGS.items():
        spent: dict[str, list[float]] = {library: [] for library in LIBRARIES}
        found: dict[str, float] = {}
        for turn in range(repeats if "100" not in rung and "500" not in rung else 1):
            for library, make in LIBRARIES.items():
                perturb = make(kind, model, epsilon, **options)
                if perturb is None:
                    continue
                torch.manual_seed(0)
                if turn == 0:
                    perturb(x[:50], y[:50])
                started = time.process_time()
                attacked = in_batches(perturb, x, y)
                spent[library].append(time.process_time() - started)
                found[library] = survivors(model, attacked, y)
        cells = [
            f"{found[library]:.1f} | {statistics.median(spent[library]):.2f}" if library in found else " | "
            for library in LIBRARIES
        ]
        print(f"| {rung} | {' | '.join(cells)} |", flush=True)


def ladder(data: TrainingData, candidates: int, images: int, epsilon: float, done: Path | None) -> None:
    """How every rung ranks random networks of a space, against AutoAttack; goes on with what ``done`` holds."""
    from scipy.stats import kendalltau

    space = SEARCH_SPACES["convmixer"](data.input, len(data.classes)).narrow({"dim": [16, 32], "depth": [1, 2, 4]})
    generator = random.Random(0)
    pixels, labels = data.validation.tensors("cpu")
    x, y = pixels[:images], labels[:images]
    rungs = {**RUNGS, "AutoAttack": ("autoattack", {})}
    found: list[dict[str, list[float]]] = [] if done is None else kept(done)
    for number in range(candidates):
        picks = space.draw(generator)
        if number < len(found):
            continue
        model = trained(data, space.decode(picks), seed=number)
        row = {}
        for rung, (kind, options) in rungs.items():
            started = time.process_time()
            attacked = in_batches(ours(kind, model, epsilon, **options), x, y)
            row[rung] = [survivors(model, attacked, y), time.process_time() - started]
        found.append(row)
        if done is not None:
            keep(done, row)
    truth = [row["AutoAttack"][0] for row in found]
    print(f"\n## Ranking of {len(found)} networks on {len(y)} digits, radius {255 * epsilon:g}/255\n")
    print("| rung | Kendall tau to AutoAttack | mean, % | CPU s a network |\n|---|--:|--:|--:|")
    for rung in rungs:
        values, seconds = zip(*(row[rung] for row in found), strict=True)
        tau = kendalltau(values, truth).statistic
        print(f"| {rung} | {tau:.2f} | {statistics.mean(values):.1f} | {statistics.mean(seconds):.2f} |", flush=True)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--candidates", type=int, default=30)
    parser.add_argument("--ladder-images", type=int, default=200)
    parser.add_argument("--ladder-keep", type=Path, help="file of the networks that are done, to go on with")
    tables = ("agreement", "seconds", "ladder")
    parser.add_argument("--tables", nargs="*", choices=tables, default=tables)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    digits = training_data(DATASETS["digits"](), limit=None, validation=0.7, seed=0)
    sets = {"digits": digits}
    if "NAS_DATA" in os.environ:
        sets["Fashion-MNIST"] = training_data(DATASETS["fashion_mnist"](), limit=3000, validation=1 / 3, seed=0)
    if "agreement" in options.tables:
        agreement(sets, options.images)
    if "seconds" in options.tables:
        for name, data in sets.items():
            seconds(name, data, options.images, 4 / 255)
    if "ladder" in options.tables and importlib.util.find_spec("pyautoattack") is not None:
        ladder(digits, options.candidates, options.ladder_images, 8 / 255, options.ladder_keep)


if __name__ == "__main__":
    main()
