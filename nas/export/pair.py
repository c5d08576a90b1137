"""Members of a front as one network: mixed (2301.12554), or read by a linear probe (2212.07346); `nas pair`.

How they are put together is chosen on the validation images, so what those say afterwards flatters a little: the test
images, by ``nas evaluate OUT --split test``, do not.
"""

import itertools
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from nas.errors import StoppedError, WrongInputError, user_input
from nas.export.bundle import EVALUATIONS, assembled, load, load_network, one_thread, write_sums
from nas.export.card import CARD
from nas.export.ensemble import ENSEMBLE, MEMBERS, PROBE, Recipe, SmoothedPair, Smoothing
from nas.export.evaluate import same_data
from nas.export.export import Verification, check_place, export
from nas.export.surrogates import gathered
from nas.plugins import Plugin
from nas.pricing import price
from nas.problem import find_dataset, find_objectives, network_of
from nas.settings import Settings
from nas.store.files import new_folder, write_atomically
from nas.store.records import TrialRecord
from nas.store.surrogates import Surrogate
from objectives import Candidate, Objective
from objectives.accuracy import in_batches
from objectives.part import stratified
from objectives.robust_accuracy import RobustAccuracy
from searchspaces import Network
from trainers import Samples, TrainingData
from trainers.task import Classification

ALPHAS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
TEMPERATURES = ((1.0, 1.5, 2.0), (0.5, 1.0))
"""Of the accurate and of the robust network, tried with every alpha (the ranges of 2301.12554)."""
SWEEP_SAMPLES = 100
"""Images that every mixture is attacked on while alpha and temperatures are chosen."""
PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""Inverse strengths of the probe's regularisation that are tried."""
PROBE_IMAGES = 20_000
"""Most training images that a probe is fitted to."""


@dataclass(frozen=True)
class Chosen:
    """What is fixed of a mixture; the rest is tried."""

    alpha: float | None = None
    temperatures: tuple[float, float] | None = None

    def tries(self) -> list[Smoothing]:
        """Every mixture to compare.

        Raises:
            ValueError: if what is fixed cannot be.
        """
        alphas = ALPHAS if self.alpha is None else (self.alpha,)
        pairs = itertools.product(*TEMPERATURES) if self.temperatures is None else [self.temperatures]
        return [Smoothing(alpha, pair) for alpha, pair in itertools.product(alphas, pairs)]


@dataclass(frozen=True)
class Paired:
    """An ensemble on disk and what it measures on the validation images.

    Args:
        recipe: content of ``ensemble.json``.
        members: trial and what the same objectives measure of it alone.
        measured: of the files read back, by objective.
        costs: sums over the members.
    """

    directory: Path
    recipe: dict[str, Any]
    members: dict[int, dict[str, float]]
    measured: dict[str, float]
    costs: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        members = [{"trial": number, "measured": values} for number, values in self.members.items()]
        return {**self.recipe, "out": str(self.directory), "members": members, "measured": self.measured, **self.costs}


def pair(
    directory: Path,
    settings: Settings,
    records: Sequence[TrialRecord],
    out: Path,
    *,
    chosen: Chosen | None = Chosen(),
    plugins: Sequence[Plugin] = (),
    data: str | None = None,
    force: bool = False,
) -> Paired:
    """Writes trials of a study as one network into ``out``, as a whole or not at all, and measures what was written.

    Args:
        records: an accurate and a robust one to be mixed; any number for a probe.
        chosen: what is fixed of the mixture; None for a linear probe.
        data: the study's data set as ``name`` or ``name:location``, where it lies elsewhere on this machine.
        force: replace an earlier export.

    Raises:
        WrongInputError: if a trial has no weights, ``out`` holds something, or the data are not on this machine.
        StoppedError: if a file cannot be written, or does not give the same logits when it is read back.
    """
    numbers = [record.number for record in records]
    if len(set(numbers)) < len(numbers):
        raise WrongInputError(f"the members must differ, got {', '.join(map(str, numbers))}.")
    check_place(out, force=force)
    with user_input("nas pair"):
        tries = [] if chosen is None else chosen.tries()
        recipe = Recipe(tries[0] if tries else None, len(records))
    loaded = same_data(settings, data)
    if not isinstance(loaded.task, Classification):
        raise WrongInputError(f"nas pair puts classifiers together, and {settings.data.label} has no classes.")
    objectives = attacked(settings)
    others = gathered(objectives, directory)
    with new_folder(out) as folder, one_thread():
        places = [Path(MEMBERS, str(i)) for i in range(len(records))]
        for inner, record in zip(places, records, strict=True):
            unverified = Verification(False)  # measured below, by itself and together with the others
            export(
                directory,
                settings,
                record,
                folder / inner,
                plugins=plugins,
                verify=unverified,
                name=f"{out.name}/{inner}",
            )
        networks = [load_network(folder / inner) for inner in places]
        if tries:
            recipe = replace(recipe, smoothing=best_mixture(networks, tries, loaded, settings, objectives, others))
        else:
            weights = fitted_probe(networks, loaded)
            write_atomically(folder / PROBE, safetensors.torch.save(weights))
        write_atomically(folder / ENSEMBLE, (json.dumps(recipe.to_json(), indent=2) + "\n").encode())
        whole = assembled(recipe, networks, folder)
        alone = {
            n: _measure(net, loaded, settings, objectives, others) for n, net in zip(numbers, networks, strict=True)
        }
        costs = _costs(records)
        paired = Paired(out, recipe.to_json(), alone, _measure(whole, loaded, settings, objectives, others), costs)
        write_atomically(folder / CARD, _card(paired, settings, loaded).encode())
        write_sums(folder)
        _check_written(folder, whole, loaded)
        if (out / EVALUATIONS).is_file():  # that test images were used stays known
            write_atomically(folder / EVALUATIONS, (out / EVALUATIONS).read_bytes())
    return paired


def attacked(settings: Settings) -> dict[str, Objective]:
    """The objectives of a study that need a trained network, by name; one under attack among them in any case."""
    found = {name: o for name, o in find_objectives(settings).items() if o.needs == "training"}
    if not any(isinstance(objective, RobustAccuracy) for objective in found.values()):
        found["robust_accuracy"] = RobustAccuracy().suited(find_dataset(settings.data))
    return found


def best_mixture(
    networks: Sequence[Network],
    tries: Sequence[Smoothing],
    data: TrainingData,
    settings: Settings,
    objectives: Mapping[str, Objective],
    surrogates: Mapping[str, Surrogate],
) -> Smoothing:
    """The mixture with the largest sum of accuracy and robust accuracy, attacked end to end on a part of the images."""
    if len(tries) == 1:
        return tries[0]
    images, labels = data.validation.tensors()
    logits = [in_batches(network, images) for network in networks]
    attack = replace(next(o for o in objectives.values() if isinstance(o, RobustAccuracy)), samples=SWEEP_SAMPLES)
    candidates = [
        Candidate(
            SmoothedPair(networks, smoothing),
            data.input,
            images,
            labels,
            seed=settings.data.part_seed,
            surrogates=surrogates,
        )
        for smoothing in tries
    ]

    def score(number: int) -> float:
        clean = (tries[number](*logits).argmax(1) == labels).double().mean()
        return float(clean) + attack.measure(candidates[number])

    return tries[max(range(len(tries)), key=score)]


def fitted_probe(networks: Sequence[Network], data: TrainingData) -> dict[str, Tensor]:
    """Weight and bias of multinomial regression on the members' features of the training images.

    Its regularisation is that which does best on the validation images.

    Raises:
        WrongInputError: if a class has no training image.
    """
    from sklearn.linear_model import LogisticRegression

    part = stratified(torch.tensor(data.train.labels), PROBE_IMAGES, 0).numpy()
    known, labels = _features(networks, data.train[part])
    unseen, answers = _features(networks, data.validation)
    if len(np.unique(labels)) < len(data.classes):
        raise WrongInputError("a probe needs training images of every class. Raise data.limit.")
    mean, scale = known.mean(0), known.std(0) + 1e-6
    fits = [LogisticRegression(C=penalty, max_iter=1000).fit((known - mean) / scale, labels) for penalty in PENALTIES]
    best = max(fits, key=lambda fit: fit.score((unseen - mean) / scale, answers))
    weight, bias = best.coef_ / scale, best.intercept_ - best.coef_ @ (mean / scale)
    if len(weight) == 1:  # of two classes, scikit-learn scores the second against the first
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    return {"weight": torch.tensor(weight).float().contiguous(), "bias": torch.tensor(bias).float()}


def _features(networks: Sequence[Network], samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """(N, F) features of all networks side by side, and labels."""
    images, labels = samples.tensors()
    found = torch.cat([in_batches(network.features, images) for network in networks], 1)
    return found.double().numpy(), labels.numpy()


def _measure(
    network: nn.Module,
    data: TrainingData,
    settings: Settings,
    objectives: Mapping[str, Objective],
    surrogates: Mapping[str, Surrogate],
) -> dict[str, float]:
    images, labels = data.validation.tensors()
    part_seed = settings.data.part_seed
    candidate = Candidate(network, data.input, images, labels, seed=part_seed, surrogates=surrogates)
    return {name: float(objective.measure(candidate)) for name, objective in objectives.items()}


def _costs(records: Sequence[TrialRecord]) -> dict[str, int]:
    totals = [price(network_of(record)).total for record in records]
    return {"macs": sum(t.macs for t in totals), "parameters": sum(t.parameters for t in totals)}


def _check_written(folder: Path, whole: nn.Module, data: TrainingData) -> None:
    """Makes sure that the files, read back, are the network that was measured."""
    images, _ = data.validation.tensors()
    some = images[:256]
    with torch.no_grad():
        if not torch.equal(load(folder)(some), whole(some)):
            raise StoppedError("nothing was written: the files, read back, do not give the logits that were measured.")


def _card(paired: Paired, settings: Settings, data: TrainingData) -> str:
    """The README.md of an ensemble."""
    columns = [f"trial {number}" for number in paired.members]
    rows = "\n".join(
        f"| {name} | {' | '.join(f'{one[name]:.4f}' for one in paired.members.values())} | {value:.4f} |"
        for name, value in paired.measured.items()
    )
    mixed = paired.recipe["kind"] == "smoothing"
    how = (
        f"the logarithm of `(1 - a) softmax(s g) + a softmax(r h)` with a = {paired.recipe['alpha']:g}, "
        f"s = {paired.recipe['temperatures'][0]:g} and r = {paired.recipe['temperatures'][1]:g}, g the first and h the "
        "second network (2301.12554)"
        if mixed
        else "one linear layer on the features of all of them side by side (2212.07346)"
    )
    channels, height, width = data.input
    place = paired.directory.name
    return f"""# {settings.name}: {", ".join(columns)} as one

{len(columns)} networks of "{settings.name}" in `{MEMBERS}/`, put together: {how}. It takes
{paired.costs["macs"]:,} MACs and {paired.costs["parameters"]:,} parameters, the sums of its members'.

| on the validation {data.things} | {" | ".join(columns)} | together |
|{"---|" * (len(columns) + 2)}
{rows}

How they are put together was chosen on these {data.things}; attacks go through the whole.

```python
import nas

model = nas.load({place!r})  # nn.Module in eval mode
logits = model(images)  # (B, {channels}, {height}, {width}), pixels in [0, 1]; normalisation is inside
```

`nas evaluate {shlex.quote(place)} --split test` measures it on the test {data.things}. `sha256sum -c SHA256SUMS` checks
the files.
"""
