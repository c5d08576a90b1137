"""`nas confirm`: trains trials of a study again with other seeds, where that says most about who is on the front.

What to repeat next is a pure function of what is recorded (`nas.results.confirmation`), so that the same command
continues where it was stopped. Replicates run on the executor of the study; their weights are not kept.
"""

import shutil
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from nas.errors import WrongInputError, user_input
from nas.export.evaluate import samples_of_test
from nas.export.surrogates import resolved, supplied
from nas.problem import Problem, network_of
from nas.results.confirmation import Confirmation, confirm, next_trial
from nas.results.study import Study
from nas.search.interruption import Interruption
from nas.search.launch import open_study, overriding
from nas.search.trainings import Say, Trainings
from nas.settings import STUDY, read_settings
from nas.store.artifacts import checkpointed, read_checkpoint
from nas.store.confirmations import Protocol, Replicate, Split, open_confirmations
from nas.store.log import Journal
from nas.store.records import TrialRecord, trial_seed
from nas.trial import TrialPlan
from objectives import Objective
from objectives.robust_accuracy import RobustAccuracy

FOLDER = "confirm"
"""Below a study directory: checkpoints of unfinished replicates."""
MOST = 1000
"""Replicates of a trial by one protocol."""


@dataclass(frozen=True)
class Wish:
    """What is to be confirmed, and how.

    Args:
        budget: replicates in all, those made before included; unset: three for each member of the front.
        seeds: replicates that every member of the front gets at least.
        epochs: of a replicate; unset: as in the search.
        attack: in place of that of every robust accuracy.
        pick: ``front``, near misses included, or a rule that names one trial.
        split: of the images to measure on.
        where: conditions that the trials keep; without any, near misses of the front are included.
    """

    budget: int | None = None
    seeds: int = 2
    epochs: int | None = None
    attack: str | None = None
    pick: str = "front"
    split: Split = "validation"
    where: tuple[str, ...] = ()


def confirm_study(
    directory: Path, wish: Wish, *, workers: int | None = None, ray: str | None = None, say: Say
) -> Study:
    """Makes the replicates that are wanted and not made yet; returns the study, which knows them.

    Args:
        workers, ray: where they are made, in place of what the study says, as in `nas.search.launch.launch`.

    Raises:
        WrongInputError: if something given cannot be used, or the test images were used before.
        UntrustedError: if the study has plugins that were never trusted.
        StoppedError: if it cannot continue; all replicates that ended are kept.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; the same command continues.
    """
    study = Study(directory)
    study.load_plugins()
    picked = None if wish.pick == "front" and not wish.where else study.select(wish.pick, wish.where)
    if not study.complete:
        raise WrongInputError(f"{directory} has no complete trial to confirm. Run nas search first.")
    for record in picked or ():
        if record.status != "complete":
            raise WrongInputError(
                f"trial {record.number} ended {record.status}; only complete trials can be confirmed."
            )
    path = directory / STUDY
    execution = read_settings(path, overriding(workers=workers, ray=ray)).execution
    problem, history = open_study(read_settings(path), directory, say=say)  # which writes down what the study says
    problem = replace(problem, settings=replace(problem.settings, execution=execution))
    with history, open_confirmations(directory, study.records) as kept:
        trainer = replace(problem.trainer, inherit=False)
        trainer = trainer if wish.epochs is None else replace(trainer, epochs=wish.epochs)
        with user_input("--epochs"):
            protocol = Protocol(trainer.epochs, wish.attack, wish.split)
        problem = _attacking(problem, wish.attack, directory, say)
        work = _Work(study, replace(problem, trainer=trainer), wish, protocol, kept, say, picked)
        work.check_once()
        if study.searched_protocol.inherit:
            say("trials began with the weights of others; replicates begin from scratch, and only they are compared.")
        for note in (*history.notes, *kept.notes):
            say(note)
        data = problem.data
        if wish.split == "test":
            data = replace(data, validation=samples_of_test(problem.settings))
        settings = problem.settings
        with Interruption(settings.execution.grace_seconds, settings.limits.seconds, say) as interruption:
            work.run(data, interruption)
        if interruption.reason is None:  # otherwise what an earlier command began may not have been taken up yet
            shutil.rmtree(work.directory, ignore_errors=True)
    return Study(directory)


def _attacking(problem: Problem, attack: str | None, directory: Path, say: Say) -> Problem:
    """The problem with another attack in every robust accuracy; surrogates that it needs are trained once.

    Raises:
        WrongInputError: if the attack cannot be used.
        StoppedError: if a training failed.
    """
    if attack is None:
        return problem
    objectives, copies = resolved(attacked(problem.objectives, attack), problem.data, directory)
    with user_input("--attack"):
        for objective in objectives.values():
            objective.check_classes(len(problem.data.classes))
    surrogates = supplied(
        objectives,
        copies,
        directory,
        settings=problem.settings,
        data=problem.data,
        trainer=problem.trainer,
        say=say,
    )
    return replace(problem, objectives=objectives, surrogates={**problem.surrogates, **surrogates})


class _Work(Trainings):
    """The replicates of one command: which comes next."""

    what = "replicates"

    def __init__(
        self,
        study: Study,
        problem: Problem,
        wish: Wish,
        protocol: Protocol,
        kept: Journal[Replicate],
        say: Say,
        picked: list[TrialRecord] | None,
    ) -> None:
        folder = f"{protocol.epochs}-{protocol.attack or 'same'}-{protocol.split}"
        super().__init__(study.directory / FOLDER / folder, problem.settings.execution, say)
        self.study, self.problem, self.wish, self.protocol, self.kept = study, problem, wish, protocol, kept
        self.picked = None if picked is None else [record.number for record in picked]
        if self.picked is not None:
            self.wanted = wish.seeds * len(self.picked)
        elif wish.split == "test":
            self.wanted = wish.seeds * len(study.front)
        else:
            self.wanted = 3 * len(study.searched_front) if wish.budget is None else wish.budget

    @property
    def mine(self) -> list[Replicate]:
        """The replicates of this protocol that have ended; of the trials that were picked, if any were."""
        found = [one for one in self.kept.entries if one.protocol == self.protocol]
        return [one for one in found if self.picked is None or one.trial in self.picked]

    def check_once(self) -> None:
        """Makes sure that the test images are used once.

        Raises:
            WrongInputError: if another command has used them.
        """
        before = [one for one in self.kept.entries if one.protocol.split == self.protocol.split == "test"]
        for one in before:
            if (one.protocol, one.wanted) != (self.protocol, self.wanted):
                when = datetime.fromtimestamp(one.record.ended or 0).strftime("%Y-%m-%d")
                raise WrongInputError(
                    f"the test images were used on {when}, for {one.wanted} replicates of {one.protocol}. A second "
                    "look at them would choose by them; give the options of the first to continue it."
                )

    def title(self, number: int) -> str:
        return f"replicate {number % MOST} of trial {number // MOST}"

    def next_plan(self) -> TrialPlan | None:
        """That of the next replicate: those that an earlier command began come first."""
        if len(self.mine) + len(self.running) >= self.wanted:
            return None
        done = {one.trial * MOST + one.number for one in self.mine} | self.running.keys()
        begun = sorted(checkpointed(self.directory) - done)
        trial = begun[0] // MOST if begun else self._next()
        if trial is None:
            if not self.running:
                self.say(f"nothing is in doubt after {len(self.mine)} replicates.")
            return None
        number = begun[0] if begun else next(n for n in range(trial * MOST, (trial + 1) * MOST) if n not in done)
        return self._plan(self.study.trial(trial), number)

    def _next(self) -> int | None:
        """The trial to repeat next."""
        running = [number // MOST for number in self.running]
        tried = Counter(running) + Counter(one.trial for one in self.mine)
        failed = Counter(one.trial for one in self.mine if one.record.status != "complete")
        barred = [trial for trial in tried if failed[trial] > 1 or tried[trial] >= MOST]
        if self.picked is not None or self.protocol.split == "test":  # nothing is chosen by what they say
            asked = [record.number for record in self.study.front] if self.picked is None else self.picked
            lacking = [trial for trial in asked if tried[trial] < self.wish.seeds and trial not in barred]
            return min(lacking, key=lambda number: tried[number], default=None)
        searched = self.study.searched_protocol
        if self.protocol != searched:  # the values of the search say who is worth a first replicate
            before = self._state([], searched)
            unknown = [r for r in before.records if before.chance(r.number) >= 0.05 and not tried[r.number]]
            if unknown:
                return max(unknown, key=lambda record: before.chance(record.number)).number
        return next_trial(self._state(self.mine, self.protocol), seeds=self.wish.seeds, running=running, barred=barred)

    def _state(self, replicates: list[Replicate], protocol: Protocol) -> Confirmation:
        study = self.study
        goals, reference = study.objectives, study.reference
        searched = study.searched_protocol
        return confirm(study.complete, replicates, protocol, goals=goals, reference=reference, searched=searched)

    def _plan(self, record: TrialRecord, number: int) -> TrialPlan:
        settings = self.problem.settings
        plan = TrialPlan.of(
            settings,
            network_of(record),
            trainer=self.problem.trainer,
            objectives=self.problem.objectives,
            seed=trial_seed(settings.seed, record.number, f"confirm {number % MOST}"),
            number=number,
            picks=record.picks,
            surrogates=self.problem.surrogates,
        )
        known = [name for name, objective in self.problem.objectives.items() if objective.needs == "shapes"]
        measured = {name: record.measured[name] for name in known if name in record.measured}
        how = {name: record.settings[name] for name in known if name in record.settings}
        return replace(plan, measured=measured, settings=how, checkpoint=read_checkpoint(self.directory, number))

    def book(self, record: TrialRecord) -> None:
        number = record.number
        record = replace(record, number=number // MOST, ended=time.time())
        self.kept.add(Replicate(number % MOST, self.protocol, self.wanted, record))
        self.say(
            f"{len(self.mine)}/{self.wanted} replicates, {_line(record, number % MOST, list(self.study.objectives))}"
        )


def attacked(objectives: dict[str, Objective], attack: str | None) -> dict[str, Objective]:
    """The objectives with another attack in every robust accuracy; its radius and norm stay.

    Raises:
        WrongInputError: if there is no robust accuracy, or the attack is unknown or cannot be used so.
    """
    if attack is None:
        return objectives
    robust = {name: o for name, o in objectives.items() if isinstance(o, RobustAccuracy)}
    if not robust:
        raise WrongInputError("--attack: no objective of the study is a robust accuracy. Leave it out.")
    with user_input("--attack"):
        norm = {name: {k: v for k, v in o.options.items() if k == "norm"} for name, o in robust.items()}
        return objectives | {
            n: replace(
                o,
                attack=attack,
                steps=None,
                options=norm[n],
                surrogates=o.surrogates if attack == o.attack else None,
            )
            for n, o in robust.items()
        }


def _line(record: TrialRecord, replicate: int, names: list[str]) -> str:
    what = f"trial {record.number} again ({replicate + 1})"
    if record.failure:
        return f"{what}: {record.failure}: {record.reason}"
    values = (f"{name} {record.measured[name]:.4g}" for name in names if np.isfinite(record.measured[name]))
    return f"{what}: {', '.join(values)}"
