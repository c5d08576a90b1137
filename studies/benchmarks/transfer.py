"""What the transfer objective costs and says beside PGD-10: a plain network, and one that hides its gradients.

    python studies/benchmarks/transfer.py [--images 400] [--epochs 20]

The default pool is trained on digits; networks and surrogates are trained alike. CPU seconds of this process on one
thread, sanity checks left out of the clock; the first measurement of a process makes the images.
"""

import argparse
import statistics
import time
from dataclasses import replace

import torch
from attacks import trained
from torch import Tensor, nn

from nas.export.surrogates import train_surrogate
from nas.problem import described
from nas.settings import settings_of
from objectives import Candidate
from objectives.attacks.transfer import transferred
from objectives.robust_accuracy import RobustAccuracy
from searchspaces.known import SURROGATES
from trainers import DATASETS, Supervised, training_data


class Masked(nn.Module):
    """A network behind a front: small waves, or the same with as many grey values as 16."""

    def __init__(self, plain: nn.Module, front: str) -> None:
        super().__init__()
        self.plain, self.front = plain, front

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.plain(x + 0.01 * torch.sin(3000 * x) if self.front == "waves" else (16 * x).round() / 16)
        return y


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = training_data(DATASETS["digits"](), limit=None, validation=0.4, seed=0)
    settings = settings_of({"name": "bench", "objectives": ["accuracy"]})
    settings = replace(settings, data=described(settings.data, data))
    trainer = Supervised(epochs=options.epochs, batch_size=64)
    started = time.process_time()
    pool = {name: train_surrogate(name, settings, data, trainer, print) for name in SURROGATES}
    print(f"training the pool: {time.process_time() - started:.1f} CPU s")
    images, labels = data.validation.tensors("cpu")
    plain = trained(data, epochs=options.epochs)
    networks = {"plain": plain, "behind waves": Masked(plain, "waves"), "behind 16 grey values": Masked(plain, "grey")}
    candidates = {
        name: Candidate(network.eval(), data.input, images, labels, surrogates=pool)
        for name, network in networks.items()
    }
    print("| network | radius | clean | PGD-10 | its flags | transfer | transfer, augmented |")
    print("|---|--:|--:|--:|---|--:|--:|")
    for radius in (8, 16, 32):
        epsilon, samples = f"{radius}/255", options.images
        for name, candidate in candidates.items():
            white = RobustAccuracy("pgd", epsilon, samples=samples).measure(candidate)
            black = RobustAccuracy("transfer", epsilon, samples=samples).measure(candidate)
            more = {"augmented": 2}
            augmented = RobustAccuracy("transfer", epsilon, samples=samples, options=more).measure(candidate)
            clean = RobustAccuracy("pgd", 0, samples=samples).measure(candidate)
            flags = ", ".join(white.flags)
            print(f"| {name} | {radius}/255 | {clean:.3f} | {white:.3f} | {flags} | {black:.3f} | {augmented:.3f} |")
    clock("PGD-10", RobustAccuracy("pgd", "16/255", samples=samples, sanity=False), candidates["plain"])
    clock("transfer", RobustAccuracy("transfer", "16/255", samples=samples, sanity=False), candidates["plain"])
    part = candidates["plain"].part(samples)
    started = time.process_time()
    transferred(RobustAccuracy("transfer", "17/255").adversary(), list(pool.values()), part.images, part.labels)
    print(f"making the images, once in a process: {time.process_time() - started:.2f} CPU s")


def clock(name: str, objective: RobustAccuracy, candidate: Candidate) -> None:
    """Prints what one measurement takes once the images are made."""
    spent = []
    for _ in range(10):
        started = time.process_time()
        objective.measure(candidate)
        spent.append(time.process_time() - started)
    print(f"{name}: {statistics.median(spent):.4f} CPU s a trial")


if __name__ == "__main__":
    main()
