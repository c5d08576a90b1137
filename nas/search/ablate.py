"""`nas ablate`: trains every arm of a design by every seed that was not trained yet, and returns what that says.

Runs are recognised by their recipe, so that an ablation with more seeds or further arms trains those alone, and one
whose settings were changed mixes nothing. Seeds come before arms: stopped early, all arms have as many.
"""

import json
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nas.errors import WrongInputError
from nas.plugins import loaded_from, remember
from nas.results.ablation import Ablation
from nas.results.arms import Arm
from nas.results.design import Design, read_design
from nas.search.driver import write_environment
from nas.search.interruption import Interruption
from nas.search.launch import overriding
from nas.search.trainings import Say, Trainings
from nas.settings import Settings
from nas.store.ablations import RUNS, Run, open_runs
from nas.store.artifacts import read_checkpoint
from nas.store.files import refuse_links, write_atomically
from nas.store.log import Journal
from nas.store.records import TrialRecord
from nas.trial import TrialPlan

RESULT = "ablation.json"
FILES = (RUNS, RESULT, f"{RUNS}.unfinished", "environment.json", "artifacts")


def ablate(
    path: Path,
    out: Path | None = None,
    *,
    overrides: Iterable[str] = (),
    workers: int | None = None,
    ray: str | None = None,
    say: Say,
) -> Ablation:
    """Makes the runs that a file asks for and that are not made yet; returns what all of them say.

    Args:
        out: folder of the ablation; ``runs/<name>`` unless given.
        workers, ray: where they are made, in place of what the file says.

    Raises:
        WrongInputError: if something given cannot be used, or the design would say nothing.
        StoppedError: if it cannot continue; all runs that ended are kept.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; the same command continues.
    """
    design = read_design(path, [*overrides, *overriding(workers=workers, ray=ray)])
    for note in design.notes:
        say(note)
    settings = design.settings
    directory = Path("runs") / settings.name if out is None else out
    if directory.exists() and (not directory.is_dir() or any(map(_is_foreign, directory.iterdir()))):
        raise WrongInputError(f"{directory} exists and holds no ablation. Give another directory with --out.")
    directory.mkdir(parents=True, exist_ok=True)
    refuse_links(directory)
    remember(loaded_from(plugin) for plugin in settings.plugins)
    execution, limits = settings.execution, settings.limits
    with open_runs(directory) as kept, Interruption(execution.grace_seconds, limits.seconds, say) as interruption:
        for note in kept.notes:
            say(note)
        write_environment(directory)
        for arms in _by_data(design.arms):
            work = _Work(design, arms, directory, kept, say)
            if work.lacking() and not interruption.reason:
                work.run(next(iter(arms.values())).data, interruption)
        found = Ablation.of(design, kept.entries)
        write_atomically(directory / RESULT, (json.dumps(found.figures(), indent=2) + "\n").encode())
    if not found.missing:
        shutil.rmtree(directory / "artifacts", ignore_errors=True)
    return found


def _is_foreign(file: Path) -> bool:
    return file.name not in FILES and not file.name.startswith((f".{RESULT}.", ".environment.json."))


def _by_data(arms: Mapping[str, Arm]) -> list[dict[str, Arm]]:
    """The arms in groups that train on the same images."""
    groups: dict[int, dict[str, Arm]] = {}
    for name, arm in arms.items():
        groups.setdefault(id(arm.data), {})[name] = arm
    return list(groups.values())


@dataclass(frozen=True)
class _Wanted:
    """A run that the design asks for."""

    arm: Arm
    replicate: int
    seed: int
    recipe: str

    @property
    def number(self) -> int:
        """By which its checkpoint is found, in an ablation of other arms too."""
        return int(self.recipe[:12], 16)


class _Work(Trainings):
    """The runs of the arms that train on the same images."""

    what = "runs"

    def __init__(self, design: Design, arms: Mapping[str, Arm], directory: Path, kept: Journal[Run], say: Say) -> None:
        super().__init__(directory, design.settings.execution, say)
        self.design, self.kept = design, kept
        split = design.plan.split
        self.wanted = [
            _Wanted(arm, replicate, design.seed(replicate), arm.recipe(design.seed(replicate), split))
            for replicate in range(design.plan.seeds)
            for arm in arms.values()
        ]
        self.tried: set[str] = set()

    def lacking(self) -> list[_Wanted]:
        """The runs that are wanted, not made and not tried by this command."""
        done = {run.recipe for run in self.kept.entries if run.is_final} | self.tried
        return [one for one in self.wanted if one.recipe not in done and one.number not in self.running]

    def title(self, number: int) -> str:
        one = next(one for one in self.wanted if one.number == number)
        return f"seed {one.replicate} of {one.arm.name}"

    def next_plan(self) -> TrialPlan | None:
        lacking = self.lacking()
        return self._plan(lacking[0]) if lacking else None

    def _plan(self, one: _Wanted) -> TrialPlan:
        settings: Settings = replace(one.arm.settings, execution=self.execution)
        plan = TrialPlan.of(
            settings,
            one.arm.architecture,
            trainer=one.arm.trainer,
            objectives=one.arm.objectives,
            seed=one.seed,
            number=one.number,
            picks=one.arm.picks,
        )
        checkpoint = read_checkpoint(self.directory, one.number)
        return replace(plan, measured=dict(one.arm.known), settings=dict(one.arm.how), checkpoint=checkpoint)

    def book(self, record: TrialRecord) -> None:
        one = next(one for one in self.wanted if one.number == record.number)
        self.tried.add(one.recipe)
        split = self.design.plan.split
        self.kept.add(Run(one.arm.name, one.replicate, one.recipe, split, replace(record, ended=time.time())))
        done = len(self.wanted) - len(self.lacking()) - len(self.running)
        values = ", ".join(f"{n} {record.measured[n]:.4g}" for n in self.design.measures if n in record.measured)
        how = f"{record.failure}: {record.reason}" if record.failure else values
        self.say(f"{done}/{len(self.wanted)} runs, {one.arm.name}, seed {one.replicate}: {how}")
