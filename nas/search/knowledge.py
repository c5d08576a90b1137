"""What a search knows before its first trial: trials of earlier studies, and networks that its user wants to see.

The trials that are known are copied into the study directory, which is complete without the others.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.errors import WrongInputError, user_input
from nas.problem import Problem, dotted
from nas.results.references import find_architecture
from nas.results.study import Study
from nas.store.files import write_atomically
from nas.store.history import read_records
from nas.store.records import TrialRecord
from searchspaces.inverse import picks_of
from searchspaces.registry import not_one_of, unknown

EARLIER = "earlier.jsonl"
"""File of a study directory with the trials of other studies that its sampler knows."""
OTHERWISE = "otherwise"
"""Key of the fidelity of trials that were trained by another recipe, or with other images of the data set."""


def read_earlier(directory: Path) -> list[TrialRecord]:
    """The trials of other studies that the sampler of a study knows.

    Raises:
        WrongInputError: if a line is damaged.
    """
    path = directory / EARLIER
    return read_records(path) if path.exists() else []


def learn_earlier(problem: Problem, directory: Path) -> list[str]:
    """Copies what earlier studies know of the networks of this one into its directory; says how much that is.

    Raises:
        WrongInputError: if a study cannot inform this one, with the reason.
        StoppedError: if the file cannot be written.
    """
    known, notes = list[TrialRecord](), []
    for place in problem.settings.search.earlier:
        found, told = _known(problem, Study(place))
        known += found
        notes.append(told)
    lines = [json.dumps(record.to_json(), separators=(",", ":")) for record in known]
    write_atomically(directory / EARLIER, "".join(line + "\n" for line in lines).encode())
    return notes


def _known(problem: Problem, study: Study) -> tuple[list[TrialRecord], str]:
    """The trials of a study that say something of networks of the problem, with picks of its own space."""
    mine, other = problem.settings, study.settings
    kinds = [(each.data.name, each.data.input, each.data.classes, each.data.outputs) for each in (mine, other)]
    if kinds[0] != kinds[1]:
        raise WrongInputError(
            f"{study.directory} was searched on other data ({other.data.label}), so that its values say nothing here. "
            "Leave it out of --from."
        )
    here, there = mine.table(), other.table()
    for name in mine.objectives:
        how, otherwise = here["objective"].get(name), there["objective"].get(name)
        if otherwise != how:
            raise WrongInputError(
                f"{study.directory} measures {name} otherwise or not at all: {otherwise} there, {how} here. Leave it "
                "out of --from."
            )
    recipes = [
        {
            **{k: v for k, v in each["training"].items() if k not in ("epochs", "track") and (k != "inherit" or v)},
            "images": each["data"]["checksum"],
        }
        for each in (here, there)
    ]
    trained = [r for r in study.records if r.measured.keys() >= {*mine.objectives}]
    trained = [r for r in trained if r.status in ("complete", "truncated")]
    found = []
    for record in trained:
        picks = {c.name: record.picks.get(c.name, c.options[0]) for c in problem.space.choices}
        network = None
        if all(c.name in record.picks or len(c.options) == 1 for c in problem.space.choices):
            network = problem.space.network(picks)
        if network is not None and network.key == record.key:
            fidelity = record.fidelity | ({} if recipes[0] == recipes[1] else {OTHERWISE: 1})
            found.append(replace(record, picks=picks, fidelity=fidelity))
    if not found:
        raise WrongInputError(
            f"none of the {len(trained)} trained networks of {study.directory} is in the space of this study. Leave it "
            "out of --from."
        )
    told = f"{len(found)} of {len(trained)} trained networks of {study.directory} are known to the sampler"
    if recipes[0] != recipes[1]:
        keys = sorted(k for k in recipes[0].keys() | recipes[1].keys() if recipes[0].get(k) != recipes[1].get(k))
        told += f"; {' and '.join(keys)} differed there, so they count for less"
    return found, f"{told}."


def given_picks(problem: Problem) -> list[str | dict[str, Any]]:
    """``search.first`` with the picks of every network that is named there.

    Raises:
        WrongInputError: if a choice or option is unknown, or a network is not in the space.
    """
    found: list[str | dict[str, Any]] = []
    for number, one in enumerate(problem.settings.search.first):
        with user_input(f"search.first[{number}]"):
            if isinstance(one, str):
                found.append(dict(picks_of(problem.space, find_architecture(one))))
            else:
                found.append(_checked(problem, one))
    return found


def _checked(problem: Problem, picks: Mapping[str, Any]) -> dict[str, Any]:
    """Picks under the full names of their choices; a short name stands for every choice that has it."""
    found: dict[str, Any] = {}
    for name, value in dotted(picks).items():
        named = [c for c in problem.space.choices if name in (c.name, c.short)]
        if not named:
            raise ValueError(unknown("choice", name, {c.name for c in problem.space.choices}))
        for choice in named:
            same = [option for option in choice.options if option == value and not isinstance(value, bool)]
            if not same:
                raise ValueError(not_one_of(f"choice {choice.name!r}", value, choice.options))
            if choice.name not in found or name == choice.name:
                found[choice.name] = same[0]
    return found
