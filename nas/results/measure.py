"""`nas measure`: an objective that was thought of after the search, measured on the weights that trials have left."""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from nas.errors import WrongInputError, user_input
from nas.export.bundle import load_weights
from nas.export.evaluate import candidate_of, same_data
from nas.export.surrogates import gathered, resolved, supplied
from nas.export.weights import check_weights
from nas.pricing import Probe
from nas.problem import check_task, find_dataset, find_objectives, find_trainer, network_of
from nas.results.study import Study
from nas.settings import Settings, construct, parse
from nas.store.artifacts import weights_path
from nas.store.measurements import Measurement, open_measurements
from nas.store.records import INHERITED, TrialRecord
from objectives import OBJECTIVES, Estimate, Goal, Objective, as_settings, as_value
from searchspaces.registry import lookup


def named_objective(text: str, settings: Settings) -> Objective:
    """The objective that ``NAME,setting=value,...`` describes; a name of the study starts from its settings there.

    Example: ``named_objective("robust_accuracy,attack=square,samples=200", study.settings)``.

    Raises:
        WrongInputError: if it cannot be read, is unknown, or a setting is wrong.
    """
    name, *pairs = re.split(r",(?![^\[]*\])", text)  # commas in a list divide nothing
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise WrongInputError(
                f"--objective needs NAME,setting=value, as in robust_accuracy,attack=fgsm, got {text!r}."
            )
        try:
            (given[key.strip()],) = parse(f"value = {value}").values()
        except ValueError:  # no TOML
            given[key.strip()] = value.strip()
    table = {"kind": name.strip(), **settings.objective.get(name.strip(), {})}
    with user_input("--objective"):
        kind = lookup(OBJECTIVES, "objective", table.pop("kind"))
    if "attack" in given and given["attack"] != table.get("attack"):  # what belongs to the other attack
        table = {key: value for key, value in table.items() if key not in ("steps", "options", "surrogates")}
    objective = construct(kind, {**table, **given}, name.strip())
    dataset = find_dataset(settings.data)
    check_task(name.strip(), objective, dataset)
    with user_input("--objective"):
        objective.check_classes(len(settings.data.classes or dataset.classes()))
    return objective.suited(dataset)


def measure_study(
    study: Study,
    text: str,
    *,
    pick: str = "front",
    where: Sequence[str] = (),
    data: str | None = None,
    say: Callable[[str], None],
) -> Study:
    """Measures an objective of trials that it was not measured of yet; returns the study, which knows the values.

    Args:
        text: ``NAME,setting=value,...``; the name under which the values are known.
        pick: ``all`` complete trials, or a rule of `Study.select`.
        where: conditions that they keep.
        data: the study's data set as ``name`` or ``name:location``, where it lies elsewhere now.

    Raises:
        WrongInputError: if something given cannot be used, or a trial has no weights.
        UntrustedError: if the study has plugins that were never trusted.
        StoppedError: if a value cannot be written; those before are kept.
    """
    study.load_plugins()
    objective = named_objective(text, study.settings)
    if objective.needs in ("weights", "run"):
        before = "before a training" if objective.needs == "weights" else "while a training runs"
        raise WrongInputError(f"--objective: {text} is measured {before}, so that stored weights do not say it.")
    records = study.where(study.complete, where) if pick == "all" else study.select(pick, where)
    with open_measurements(study.directory, study.records) as kept:
        for note in kept.notes:
            say(note)
        done = {one.trial for one in kept.entries if one.name == text}
        left = [record for record in records if record.number not in done]
        if objective.needs == "training":
            check_weights(study.directory, left)
        measure = _measured_by(study, objective, text, data, say) if left else None
        for record in left:
            assert measure is not None
            found = measure(record)
            kept.add(found)
            say(f"trial {record.number}: {text} {found.value:.4g}")
    return Study(study.directory, trust=study.trust)


def _measured_by(
    study: Study, objective: Objective, name: str, data: str | None, say: Callable[[str], None]
) -> Callable[[TrialRecord], Measurement]:
    """What measures a trial: on the validation images of the study, on one thread."""
    settings = study.settings
    goal = Goal.of(objective, find_dataset(settings.data).poses().name)
    known: dict[str, Any] = {"direction": goal.direction, "scale": goal.scale, "unit": goal.unit}

    def finish(record: TrialRecord, value: float, how: dict[str, Any]) -> Measurement:
        spread = value.spread() if isinstance(value, Estimate) else {}
        flags = list(value.flags) if isinstance(value, Estimate) else []
        flags += [INHERITED] if record.inherited and objective.needs == "training" else []
        number = as_value(name, objective, value)
        details: dict[str, Any] = {"settings": how, "spread": spread, "flags": flags, "time": time.time()}
        return Measurement(name, record.number, record.key, number, **known, **details)

    if objective.needs == "shapes":
        probe = Probe(study.space, {name: objective}, {})

        def price(record: TrialRecord) -> Measurement:
            values, how = probe.measure(network_of(record))
            return finish(record, values[name], how[name])

        return price
    loaded = same_data(settings, data)
    objectives, copies = resolved({name: objective}, loaded, study.directory)
    objective, trainer = objectives[name], find_trainer(settings, find_dataset(settings.data))
    surrogates = gathered(find_objectives(settings), study.directory)  # attacks by gradients are checked against them
    surrogates |= supplied(
        objectives, copies, study.directory, settings=settings, data=loaded, trainer=trainer, say=say
    )

    def measure(record: TrialRecord) -> Measurement:
        architecture = network_of(record)
        network = load_weights(architecture, weights_path(study.directory, record.number))
        candidate = candidate_of(network, loaded.validation, settings, task=loaded.task, surrogates=surrogates)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with user_input(f"--objective {name}, trial {record.number}"):
                return finish(record, objective.measure(candidate), as_settings(name, objective.settings(candidate)))
        finally:
            torch.set_num_threads(threads)

    return measure
