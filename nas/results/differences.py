"""`nas diff`: what two trials do not have in common, and how alike their trained layers are."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.errors import user_input
from nas.export.bundle import load_weights
from nas.export.evaluate import candidate_of, same_data
from nas.export.weights import check_weights
from nas.problem import network_of
from nas.results.study import Study
from nas.store.artifacts import weights_path
from nas.store.records import TrialRecord
from searchspaces.similarity import Similarity, linear_cka

IMAGES = 1_000
"""Validation images that are compared, at most."""
BATCH = 250


def differences(study: Study, first: TrialRecord, second: TrialRecord) -> dict[str, Any]:
    """Values of both, by name: of choices that either uses and of facts where they differ, of objectives always."""
    used = study.space.used(first.picks) | study.space.used(second.picks)

    def both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
        names = [*one, *(name for name in other if name not in one)]
        return {name: [one.get(name), other.get(name)] for name in names}

    picks, facts = both(first.picks, second.picks), both(first.facts, second.facts)
    return {
        "trials": [first.number, second.number],
        "picks": {name: pair for name, pair in picks.items() if name in used and pair[0] != pair[1]},
        "facts": {name: pair for name, pair in facts.items() if pair[0] != pair[1]},
        "measured": both(first.measured, second.measured),
    }


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
