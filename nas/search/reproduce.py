"""`nas reproduce`: claims of the papers, each an ablation, run one after the other; what came out, kept as it is."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nas.errors import WrongInputError, regular
from nas.presets import CLAIMS
from nas.problem import find_dataset
from nas.results.ablation import Ablation
from nas.results.design import Claim, read_claim
from nas.search.ablate import ablate
from nas.search.driver import versions
from nas.search.trainings import Say
from nas.settings import read_table, settings_of
from nas.store.files import write_atomically
from searchspaces.registry import unknown

LONGEST = 1_000_000
"""Bytes of a kept result."""


@dataclass(frozen=True)
class Reproduced:
    """A claim that was put to the test."""

    name: str
    claim: Claim
    ablation: Ablation

    @property
    def seconds(self) -> float:
        """Wall time of its runs together, as if one after the other."""
        runs = (record for of in self.ablation.runs.values() for record in of.values())
        return sum(sum(record.seconds.values()) for record in runs)

    def figures(self) -> dict[str, Any]:
        """What came out, where and when, as JSON."""
        return {
            **self.ablation.figures(),
            "run_seconds": round(self.seconds, 1),
            "machine": machine(),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
        }


def chosen(what: str | None, *, quick: bool) -> dict[str, Claim]:
    """The claims of a paper, by its short name or number, or the one of a name; all if nothing is given.

    Args:
        quick: those alone that say so.

    Raises:
        WrongInputError: if there is none.
    """
    read = {name: read_claim(path) for name, path in CLAIMS.items()}
    claims = dict(sorted(read.items(), key=lambda item: (item[1].paper, item[0])))
    found = {n: c for n, c in claims.items() if what in (None, n, c.paper, c.arxiv) and (c.quick or not quick)}
    if found:
        return found
    if what in claims or any(what in (claim.paper, claim.arxiv) for claim in claims.values()):
        raise WrongInputError(f"{what} has no quick claim. Leave --quick out.")
    papers = {word for claim in claims.values() for word in (claim.paper, claim.arxiv)}
    raise WrongInputError(unknown("claim or paper", str(what), {*claims, *papers}))


def reproduce(
    names: Sequence[str],
    out: Path,
    *,
    overrides: Sequence[str] = (),
    workers: int | None = None,
    ray: str | None = None,
    say: Say,
) -> list[Reproduced]:
    """Puts claims to the test; those whose data are not on this machine are left out, with a line.

    Args:
        names: of the claims.
        out: folder, in which each has one of its name; the same command continues.

    Raises:
        WrongInputError, StoppedError, KeyboardInterrupt: as `ablate`.
    """
    found = []
    for name in names:
        path = CLAIMS[name]
        claim, data = read_claim(path), lacking(path)
        if data:
            say(f"{name}: left out, {data}")
            continue
        say(f"{name}: {claim.says} (about {claim.minutes:g} minutes)")
        ablation = ablate(path, out / name, overrides=overrides, workers=workers, ray=ray, say=say)
        found.append(Reproduced(name, claim, ablation))
    return found


def lacking(path: Path) -> str:
    """Why the data of a claim cannot be used on this machine; empty if they can."""
    table = {key: value for key, value in read_table(path).items() if key in ("data", "name", "objectives")}
    dataset = find_dataset(settings_of(table).data)
    return "" if dataset.found() else f"its data are not on this machine: {dataset.origin}"


def machine() -> str:
    """Processor and number of cores, and the version of torch."""
    model = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} cores, torch {versions()['torch']}"


def keep(found: Sequence[Reproduced], folder: Path) -> None:
    """Writes what came out of each claim as ``NAME.json`` into a folder.

    Raises:
        StoppedError: if a file cannot be written.
    """
    for one in found:
        write_atomically(folder / f"{one.name}.json", (json.dumps(one.figures(), indent=1) + "\n").encode())


def kept(folder: Path) -> dict[str, dict[str, Any]]:
    """What `keep` wrote into a folder, by the names of claims.

    Raises:
        WrongInputError: if a file cannot be read.
    """
    found = {}
    for name in CLAIMS:
        path = folder / f"{name}.json"
        if not path.exists():
            continue
        try:
            content = regular(path).read_bytes()[:LONGEST]
            TypeAdapter(_Kept).validate_json(content, strict=True)
            found[name] = json.loads(content)
        except ValidationError as error:
            [first, *_] = error.errors()
            place = ".".join(map(str, first["loc"]))
            reason = f"it is no result of a claim ({place}{': ' if place else ''}{first['msg']})"
            raise WrongInputError(f"{path} cannot be read: {reason}. Write it again with --save.") from None
        except OSError as error:
            raise WrongInputError(f"{path} cannot be read ({error.strerror}).") from None
    return found


@dataclass(frozen=True)
class _Expected:
    """What a table shows of an expectation."""

    expected: str
    verdict: str
    n: int
    mean: float | None
    interval: list[float] | None
    seeds_that_would_decide: int | None


@dataclass(frozen=True)
class _Kept:
    """What a table shows of a kept result."""

    expectations: list[_Expected]
    run_seconds: float
    machine: str
    date: str
