"""The sampler `front` for anybody's Optuna study, without a study of this project around it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from nas.search.belief.engine import Aim, Engine, Pending, Seen
from nas.search.belief.features import Traits
from nas.store.records import trial_seed

Scale = Literal["plain", "fraction", "count"]
LEVELS = 33
"""Most values of a range that are told apart."""
BEYOND = 0.01
"""By how much of what was seen the reference point lies beyond the worst of it."""


class FrontSampler(BaseSampler):
    """See `nas.optuna_sampler`."""

    def __init__(
        self,
        space: Mapping[str, BaseDistribution],
        costs: Callable[[dict[str, Any]], Sequence[float | None]] | None,
        scales: Sequence[Scale] | None,
        seed: int,
    ) -> None:
        if not space:
            raise ValueError("space must name every parameter with its distribution, got none.")
        if scales is not None and (wrong := set(scales) - set(get_args(Scale))):
            raise ValueError(f"scales must be of {', '.join(get_args(Scale))}, got {', '.join(map(repr, wrong))}.")
        self.space, self.costs, self.scales, self.seed = dict(space), costs, scales, seed
        self.levels = {name: _levels(name, distribution) for name, distribution in self.space.items()}
        self._engine: Engine | None = None
        self._told: set[int] = set()
        self._limits: dict[str, float] = {}
        """What must be at most 0, by name: the constraints that trials had."""
        self._random = RandomSampler(seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {name: distribution for name, distribution in self.space.items() if not distribution.single()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        engine, pending = self._learned(study, trial.number)
        picks = engine.propose(trial_seed(self.seed, trial.number, "sampler"), pending)
        chosen = picks or {name: values[0] for name, values in engine.aim.options.items()}
        return {name: self.levels[name][int(chosen[name])] for name in search_space}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if param_name not in self.space:
            raise ValueError(f"parameter {param_name!r} is not in the space that the sampler was given. Add it there.")
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _learned(self, study: optuna.Study, number: int) -> tuple[Engine, list[Pending]]:
        """The engine, told all that has ended since, and what is being run."""
        scales: list[Scale] = list(self.scales or ["plain"] * len(study.directions))
        if len(scales) != len(study.directions):
            raise ValueError(f"scales must have one entry for each of {len(study.directions)} objectives.")
        signs = np.array([-1.0 if d == optuna.study.StudyDirection.MAXIMIZE else 1.0 for d in study.directions])
        if self._engine is None:
            options = {name: tuple(range(len(values))) for name, values in self.levels.items()}
            fractions = [scale == "fraction" for scale in scales]
            look = self._look(signs, scales)
            aim = Aim(options, look, fractions, np.ones(len(scales)), trial_seed(self.seed, 0, "features"))
            self._engine = Engine(aim)
        pending = []
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            seen = self._seen(trial) if trial.number != number else None
            if seen is None:
                continue
            if not trial.state.is_finished():
                pending.append(Pending(seen))
            elif trial.number not in self._told:
                self._told.add(trial.number)
                finite = all(map(math.isfinite, [*(trial.values or ()), *trial.constraints.values()]))
                ended = trial.state == TrialState.COMPLETE and finite
                costs = _minimised(trial.values, signs, scales) if ended else None
                limited = {name: value for name, value in trial.constraints.items() if math.isfinite(value)}
                self._limits |= dict.fromkeys(limited, 0.0)
                self._engine.tell(seen.picks, seen.key, costs, limited=limited)
        self._engine.aim = replace(self._engine.aim, reference=self._reference(scales), limits=self._limits)
        return self._engine, pending

    def _reference(self, scales: Sequence[Scale]) -> np.ndarray:
        """The worst values seen and a little more; those of fractions a little beyond 0 or 1."""
        assert self._engine is not None
        costs = self._engine.costs(self._engine.measured)
        if not len(costs):
            return np.ones(len(scales))
        least, most = costs.min(0), costs.max(0)
        worst: np.ndarray = most + np.maximum(BEYOND * (most - least), 1e-9)
        return np.where([scale == "fraction" for scale in scales], 1 + BEYOND, worst)

    def _seen(self, trial: FrozenTrial) -> Seen | None:
        """A trial as the engine knows it, with the first value of what it did not ask for; None if that is all."""
        assert self._engine is not None
        if not trial.params.keys() & self.levels.keys():
            return None
        picks = {n: _nearest(values, trial.params.get(n, values[0])) for n, values in self.levels.items()}
        return self._engine.look(picks)

    def _look(self, signs: np.ndarray, scales: Sequence[Scale]) -> Callable[[Mapping[str, Any]], Seen]:
        def look(picks: Mapping[str, Any]) -> Seen:
            params = {name: values[int(picks[name])] for name, values in self.levels.items()}
            known: Sequence[float | None] = [None] * len(scales)
            if self.costs is not None:
                known = self.costs(dict(params))
                if len(known) != len(scales):
                    raise ValueError(
                        f"costs must return {len(scales)} values, None for what is not known, got {known}."
                    )
            costs = _minimised([np.nan if value is None else value for value in known], signs, scales)
            first = costs[~np.isnan(costs)]
            key = "|".join(str(picks[name]) for name in self.levels)
            return Seen(dict(picks), key, self._traits(params, picks), costs, float(first[0]) if len(first) else 0.0)

        return look

    def _traits(self, params: Mapping[str, Any], picks: Mapping[str, Any]) -> Traits:
        categories, numbers = {}, {}
        for name, distribution in self.space.items():
            if isinstance(distribution, CategoricalDistribution):
                categories[name] = str(picks[name])
            else:
                numbers[name] = math.log(params[name]) if getattr(distribution, "log", False) else float(params[name])
        return Traits(categories, numbers)


def _minimised(values: Sequence[float], signs: np.ndarray, scales: Sequence[Scale]) -> np.ndarray:
    """The values as costs: fractions from 0 for the best to 1, counts as logarithms."""
    found = np.array(values, dtype=float)
    for i, scale in enumerate(scales):
        if scale == "count" and found[i] <= 0:
            raise ValueError(f"an objective with scale 'count' must be positive, got {found[i]:g}. Call it 'plain'.")
        if scale == "fraction":
            found[i] = found[i] if signs[i] > 0 else 1 - found[i]
        else:
            found[i] = signs[i] * (math.log10(found[i]) if scale == "count" else found[i])
    return found


def _levels(name: str, distribution: BaseDistribution) -> list[Any]:
    """The values of a parameter that are told apart, in order."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        count = (distribution.high - distribution.low) // distribution.step + 1
        if count <= LEVELS and not distribution.log:
            return [distribution.low + i * distribution.step for i in range(count)]
        spaced = np.geomspace if distribution.log else np.linspace
        places = spaced(distribution.low, distribution.high, min(count, LEVELS))
        steps = np.unique(((places - distribution.low) / distribution.step).round().astype(int))
        return [distribution.low + int(step) * distribution.step for step in steps]
    if isinstance(distribution, FloatDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        if step is not None:
            count = math.floor((high - low) / step + 1e-9) + 1
            return [low + step * int(i) for i in np.unique(np.linspace(0, count - 1, min(count, LEVELS)).round())]
        return [float(x) for x in (np.geomspace if distribution.log else np.linspace)(low, high, LEVELS)]
    raise ValueError(f"parameter {name!r} has a distribution of an unknown kind, {type(distribution).__name__}.")


def _nearest(values: Sequence[Any], value: Any) -> int:
    """Number of the level of a value."""
    if value in values:
        return values.index(value)
    return int(np.argmin([abs(each - value) for each in values]))
