"""`nas diff`: what two trials do not have in common, and how alike their trained layers are."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from nas.errors import WrongInputError, user_input
from nas.export.bundle import load_weights
from nas.export.evaluate import candidate_of, same_data
from nas.export.weights import check_weights
from nas.problem import network_of
from nas.results.comparison import compare
from nas.results.study import Study
from nas.store.artifacts import PREDICTIONS, weights_path
from nas.store.records import TrialRecord
from nas.store.traces import Predictions
from searchspaces.similarity import Similarity, linear_cka

IMAGES = 1_000
"""Validation images that are compared, at most."""
BATCH = 250


def differences(study: Study, first: TrialRecord, second: TrialRecord, other: Study | None = None) -> dict[str, Any]:
    """What two trials do not have in common, as JSON.

    Args:
        other: that the second trial is of, if not of the same study.

    Returns:
        By name the values of both: ``picks`` of choices that either uses and ``facts``, where they differ; always
        ``measured``, of complete trials the means of replicates, their standard ``errors``, None where unknown, and
        their ``flags``.
        ``mcnemar`` compares the images that only one of them classifies correctly; None without predictions of both.
    """
    other = other or study
    used = study.used(first) | other.used(second)

    def both(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, list[Any]]:
        names = [*one, *(name for name in two if name not in one)]
        return {name: [one.get(name), two.get(name)] for name in names}

    picks, facts = both(first.picks, second.picks), both(first.facts, second.facts)
    flags = both(study.flags(first), other.flags(second))
    return {
        "trials": [first.number, second.number],
        **({"studies": [str(study.directory), str(other.directory)]} if other is not study else {}),
        "picks": {name: pair for name, pair in picks.items() if name in used and pair[0] != pair[1]},
        "facts": {name: pair for name, pair in facts.items() if pair[0] != pair[1]},
        "measured": both(_settled(study, first), _settled(other, second)),
        "errors": both(*({n: s.error(r, n) for n in r.measured} for s, r in ((study, first), (other, second)))),
        "flags": {n: [list(words or ()) for words in pair] for n, pair in flags.items()},
        "mcnemar": _compared(study, first, other, second),
    }


def _settled(study: Study, record: TrialRecord) -> dict[str, float]:
    """What was measured of a trial, objectives by the mean of its replicates."""
    settled = {n: study.value(record, n) for n in study.objectives} if record.status == "complete" else {}
    return {**record.measured, **settled}


def _compared(study: Study, first: TrialRecord, other: Study, second: TrialRecord) -> dict[str, Any] | None:
    """McNemar's test of two trials that were measured on the same images; None if they were not, or left nothing."""
    if study.settings.data.checksum != other.settings.data.checksum:
        return None
    try:
        places = ((study, first), (other, second))
        found = compare(
            *(Predictions.read(weights_path(s.directory, r.number).with_name(PREDICTIONS)) for s, r in places)
        )
    except WrongInputError:
        return None
    return asdict(found)


def chain(study: Study) -> dict[str, Any]:
    """The front from the cheapest member to the dearest, as JSON: what each step changes, and what it buys.

    Returns:
        ``cost`` is the objective that orders it, the first count to be minimised; ``unit`` about a step, rounded;
        ``steps`` have the trials, the ``changes`` of choices, of every objective the ``difference`` with its standard
        ``error`` (None where unknown), and ``buys``: the difference for each unit of the cost; ``flags`` are those of
        the trials that have any, by number.

    Raises:
        WrongInputError: if no objective is a cost, or there is no front.
    """
    cost = study.cheapness
    members = sorted(study.members().records, key=lambda record: study.value(record, cost))
    values = [study.value(record, cost) for record in members]
    paid = sorted(more for before, after in itertools.pairwise(values) if (more := after - before) > 0)
    unit = 10 ** math.floor(math.log10(paid[len(paid) // 2])) if paid else 1
    steps = []
    for before, after in itertools.pairwise(members):
        more = study.value(after, cost) - study.value(before, cost)
        step: dict[str, Any] = {"from": before.number, "to": after.number, "cost": more}
        step |= {"changes": changes(study, before, after), "difference": {}, "error": {}, "buys": {}}
        for name in study.objectives:
            change = study.value(after, name) - study.value(before, name)
            errors = [study.error(record, name) for record in (before, after)]
            step["difference"][name] = change
            step["error"][name] = None if None in errors else math.hypot(*(e or 0.0 for e in errors))
            if name != cost:
                step["buys"][name] = change / more * unit if more > 0 else None
        steps.append(step)
    flags = {str(record.number): dict(study.flags(record)) for record in members if study.flags(record)}
    return {"cost": cost, "unit": unit, "first": members[0].number, "steps": steps, "flags": flags}


def changes(study: Study, before: TrialRecord, after: TrialRecord) -> list[str]:
    """What is picked differently in words, such as ``s2 raft -> random_mix`` and ``depth 2 -> 4``.

    Of choices that make a difference; those that do in both trials come first.
    The name of a choice is left out where its two words are options of no other choice.
    """
    one, other = study.effective(before), study.effective(after)
    words = []
    for name in study.choices:
        if name in one & other and before.picks[name] != after.picks[name]:
            words.append(f"{_named(study, name, before, after)} -> {after.picks[name]}")
    return words + [f"{name.replace('.', ' ')} {after.picks[name]}" for name in study.choices if name in other - one]


def _named(study: Study, name: str, before: TrialRecord, after: TrialRecord) -> str:
    """The choice, as far as its options do not tell which it is, and the option before."""
    group, dot, short = name.rpartition(".")
    old, new = before.picks[name], after.picks[name]
    others = {o for other, options in study.choices.items() if other.rpartition(".")[2] != short for o in options}
    told = isinstance(old, str) and isinstance(new, str) and not {old, new} & others and dot
    return f"{group} {old}" if told else f"{name.replace('.', ' ')} {old}"


def similarity(study: Study, first: TrialRecord, second: TrialRecord, data: str | None = None) -> Similarity:
    """Linear CKA of the layers of two trained trials on validation images, chosen at random and always the same ones.

    Args:
        data: the study's data set as ``name`` or ``name:location``, where it lies elsewhere now.

    Raises:
        WrongInputError: if a trial has no weights, or the data are not those of the study.
    """
    check_weights(study.directory, [first, second])
    loaded = same_data(study.settings, data)
    order = np.random.default_rng(0).permutation(len(loaded.validation))
    one, other = (load_weights(network_of(r), weights_path(study.directory, r.number)) for r in (first, second))
    images = candidate_of(one, loaded.validation[order[:IMAGES]], study.settings, task=loaded.task).inputs()
    with user_input("--cka"):
        return linear_cka(one, other, images[:].tensor_split(math.ceil(len(images) / BATCH)))
