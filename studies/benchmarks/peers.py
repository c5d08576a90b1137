"""Optimisers of others behind our sampler contract, for comparison: ``pip install mixing-nas[peers]``.

They propose within our ledger, so that a network that was tried already costs nobody a trial: the nearest that was not
takes its place, and that is what they learn of. Populations are of 20, as here: at 200 trials better than their usual
50 or 100. Only BoTorch is told what networks cost before they are trained, as the sampler `front` is, with the same
features and the same source of candidates. A study with one of them cannot be continued.
"""

import random
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from nas.problem import Problem
from nas.results.pareto import non_dominated
from nas.search.belief.candidates import Options, collect, drawn, proposals
from nas.search.belief.engine import Seen
from nas.search.belief.features import Encoder
from nas.search.samplers import Proposal
from nas.search.samplers.front import Networks
from nas.search.samplers.sampler import sampler
from nas.store.records import TrialRecord, trial_seed
from objectives import to_minimise
from searchspaces import Value

PEERS = {
    "pymoo_nsga2": "pymoo",
    "pymoo_agemoea2": "numba",
    "syne_tune_morea": "syne_tune",
    "syne_tune_moasha": "syne_tune",
    "smac_parego": "smac",
    "botorch_nehvi": "botorch",
}
"""Contestant -> the module that it needs."""
POPULATION = 20


def missing(name: str) -> str | None:
    """Why a contestant cannot take part; None if it can."""
    module = PEERS.get(name)
    if module is None or find_spec(module) is not None:
        return None
    return f"{module} is not installed (pip install mixing-nas[peers])."


class Peer:
    """What they have in common: picks by number of the trial, and costs that are told."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.options: Options = {c.name: c.options for c in problem.space.choices if len(c.options) > 1}
        self.fixed = {c.name: c.options[0] for c in problem.space.choices if len(c.options) == 1}

    def proposed(self, number: int) -> Mapping[str, Value]:
        """Picks for the open choices."""
        raise NotImplementedError

    def learn(self, number: int, picks: Mapping[str, Value], costs: np.ndarray) -> None:
        """Takes what became of the trial."""
        raise NotImplementedError

    def ask(self, number: int, draw: int, *, explore: bool = False) -> Proposal:
        generator = random.Random(trial_seed(self.problem.settings.seed, number, f"explore/{draw}"))
        picks = drawn(self.options, generator) if explore else self.proposed(number)
        return Proposal({**self.fixed, **picks})

    def forget(self, proposal: Proposal) -> None:
        pass

    def resume(self, picks: Mapping[str, Value], memory: Mapping[str, Any]) -> Proposal:
        return Proposal(dict(picks))

    def replay(self, record: TrialRecord, memory: Mapping[str, Any]) -> None:
        raise NotImplementedError("a study with a peer cannot be continued.")

    def tell(self, proposal: Proposal, record: TrialRecord) -> None:
        objectives, names = self.problem.objectives, self.problem.settings.objectives
        costs = self.problem.reference  # as bad as any, where nothing was measured
        if all(name in record.measured for name in names):
            costs = np.array([to_minimise(objectives[name], record.measured[name]) for name in names])
        self.learn(record.number, {name: record.picks[name] for name in self.options}, costs)


class Pymoo(Peer):
    """A generational algorithm: numbers are whole-number variables, texts are choices."""

    def __init__(self, problem: Problem, algorithm: str) -> None:
        from pymoo.algorithms.moo.age2 import AGEMOEA2
        from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
        from pymoo.core import problem as problems
        from pymoo.core.mixed import MixedVariableDuplicateElimination, MixedVariableMating, MixedVariableSampling
        from pymoo.core.variable import Choice, Integer
        from pymoo.operators.selection.tournament import TournamentSelection

        super().__init__(problem)
        variables = {
            name: Choice(options=list(values)) if isinstance(values[0], str) else Integer(bounds=(0, len(values) - 1))
            for name, values in self.options.items()
        }
        self._ordered = {name: sorted(own) for name, own in self.options.items() if not isinstance(own[0], str)}
        of = {"nsga2": NSGA2, "agemoea2": AGEMOEA2}[algorithm]
        alone = MixedVariableDuplicateElimination()
        selection = TournamentSelection(func_comp=binary_tournament)
        self._algorithm = of(
            pop_size=POPULATION,
            sampling=MixedVariableSampling(),
            mating=MixedVariableMating(selection=selection, eliminate_duplicates=alone),
            eliminate_duplicates=alone,
        )
        stated = problems.Problem(vars=variables, n_obj=len(problem.settings.objectives))
        self._problem = stated
        self._algorithm.setup(stated, termination=("n_gen", 10**9), seed=problem.settings.seed, verbose=False)
        self._waiting: list[Any] = []
        self._asked: set[int] = set()
        self._told: list[tuple[dict[str, Any], np.ndarray]] = []
        self._generation = 0

    def proposed(self, number: int) -> Mapping[str, Value]:
        if not self._waiting and not self._asked:
            self._waiting = [individual.X for individual in self._algorithm.ask()]
            self._generation = len(self._waiting)
        if not self._waiting:  # the rest of the generation is being trained
            return drawn(self.options, random.Random(trial_seed(self.problem.settings.seed, number)))
        self._asked.add(number)
        found = self._waiting.pop(0)
        return {name: self._value(name, found[name]) for name in self.options}

    def _value(self, name: str, coded: Any) -> Value:
        return self._ordered[name][int(coded)] if name in self._ordered else str(coded)

    def learn(self, number: int, picks: Mapping[str, Value], costs: np.ndarray) -> None:
        from pymoo.core.evaluator import Evaluator
        from pymoo.core.population import Population
        from pymoo.problems.static import StaticProblem

        self._asked.discard(number)
        coded = {n: self._ordered[n].index(v) if n in self._ordered else v for n, v in picks.items()}
        self._told.append((coded, costs))
        if not self._waiting and not self._asked:
            infills = Population.new(X=np.array([each for each, _ in self._told], dtype=object))
            values = np.array([values for _, values in self._told])
            Evaluator().eval(StaticProblem(self._problem, F=values), infills)
            self._algorithm.tell(infills=infills)
            self._told.clear()


@sampler("pymoo_nsga2")
def pymoo_nsga2(problem: Problem) -> Peer:
    """NSGA-II of pymoo."""
    return Pymoo(problem, "nsga2")


@sampler("pymoo_agemoea2")
def pymoo_agemoea2(problem: Problem) -> Peer:
    """AGE-MOEA2 of pymoo."""
    return Pymoo(problem, "agemoea2")


@sampler("syne_tune_morea")
class SyneTune(Peer):
    """Multi-objective regularised evolution of Syne Tune."""

    def __init__(self, problem: Problem) -> None:
        from syne_tune.config_space import choice
        from syne_tune.optimizer.schedulers.multiobjective import multi_objective_regularized_evolution as evolution

        super().__init__(problem)
        space = {name: choice(list(values)) for name, values in self.options.items()}
        np.random.seed(problem.settings.seed)  # its first draws are of the global generator
        self._searcher = evolution.MultiObjectiveRegularizedEvolution(
            space, population_size=POPULATION, sample_size=POPULATION // 4, random_seed=problem.settings.seed
        )

    def proposed(self, number: int) -> Mapping[str, Value]:
        found: dict[str, Value] = self._searcher.suggest()
        return found

    def learn(self, number: int, picks: Mapping[str, Value], costs: np.ndarray) -> None:
        self._searcher.on_trial_complete(number, dict(picks), costs.tolist())


class Stopping:
    """MO-ASHA of Syne Tune: of random networks those end at a rung that are not among the best third of it.

    It is no sampler of ours, as it decides while networks are trained. Its own priority takes the order of the networks
    for their places in it (0.16.0), so that hardly any is continued; here it gets their places.

    Args:
        epochs: of its rungs.
    """

    def __init__(self, problem: Problem, epochs: Sequence[int]) -> None:
        from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
        from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import MOPriority
        from syne_tune.optimizer.schedulers.multiobjective.non_dominated_priority import nondominated_sort

        class Places(MOPriority):
            """Of every row in the non-dominated order of all."""

            def priority_unsafe(self, objectives: np.ndarray) -> np.ndarray:
                return np.argsort(nondominated_sort(objectives, dim=0))

        self._names = [f"cost{i}" for i in range(len(problem.settings.objectives))]
        self._scheduler = MOASHA(
            {},
            self._names,
            time_attr="epochs",
            multiobjective_priority=Places(),
            max_t=epochs[-1],
            grace_period=epochs[0],
            reduction_factor=epochs[1] / epochs[0],
            random_seed=problem.settings.seed,
        )
        self._trials: dict[int, Any] = {}

    def goes_on(self, number: int, epochs: int, costs: Sequence[float]) -> bool:
        """Whether a training is continued that has cost so much after so many epochs."""
        from datetime import datetime

        from syne_tune.backend.trial_status import Trial

        if number not in self._trials:
            self._trials[number] = Trial(number, {}, datetime.now())
            self._scheduler.on_trial_add(self._trials[number])
        result = {"epochs": epochs, **dict(zip(self._names, costs, strict=True))}
        return self._scheduler.on_trial_result(self._trials[number], result) == "CONTINUE"


@sampler("smac_parego")
class Smac(Peer):
    """ParEGO of SMAC, with its settings for hyperparameters: random forests, Sobol points first."""

    ALIKE = 20
    """Proposals of networks that were tried, in a row, that are answered from what is known."""

    def __init__(self, problem: Problem) -> None:
        from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, OrdinalHyperparameter
        from smac import HyperparameterOptimizationFacade, Scenario

        super().__init__(problem)
        self._space = ConfigurationSpace(seed=problem.settings.seed)
        for name, values in self.options.items():
            of = CategoricalHyperparameter if isinstance(values[0], str) else OrdinalHyperparameter
            self._space.add(of(name, values if isinstance(values[0], str) else sorted(values)))
        self._folder = tempfile.TemporaryDirectory()
        scenario = Scenario(
            self._space,
            objectives=list(problem.settings.objectives),
            deterministic=True,
            n_trials=10**6,
            seed=problem.settings.seed,
            output_directory=self._folder.name,  # type: ignore[arg-type]
        )
        facade = HyperparameterOptimizationFacade
        forest = facade.get_model(scenario)
        forest._rf_opts["n_jobs"] = 1  # else each of thousands of small predictions starts threads of its own
        self._facade = facade(
            scenario,
            lambda config, seed=0: 0.0,
            model=forest,
            multi_objective_algorithm=facade.get_multi_objective_algorithm(scenario),
            initial_design=facade.get_initial_design(scenario, n_configs=POPULATION),
            logging_level=False,
            overwrite=True,
        )
        self._known: dict[str, np.ndarray] = {}
        self._seed: int | None = None

    def _key(self, picks: Mapping[str, Value]) -> str:
        network = self.problem.space.network({**self.fixed, **picks})
        return str(picks) if network is None else network.key

    def proposed(self, number: int) -> Mapping[str, Value]:
        picks: dict[str, Value] = {}
        for _ in range(self.ALIKE):
            info = self._facade.ask()
            self._seed = info.seed  # one for all: a tell with another is a trial of its own to it
            picks = {name: self._as_picked(name, info.config[name]) for name in self.options}
            if (costs := self._known.get(self._key(picks))) is None:
                break
            self._tell(info.config, costs)
        return picks

    def _as_picked(self, name: str, value: Any) -> Value:
        return next(option for option in self.options[name] if option == value)

    def _tell(self, config: Any, costs: np.ndarray) -> None:
        from smac.runhistory import TrialInfo, TrialValue

        self._facade.tell(TrialInfo(config=config, seed=self._seed), TrialValue(cost=costs.tolist()), save=False)

    def learn(self, number: int, picks: Mapping[str, Value], costs: np.ndarray) -> None:
        from ConfigSpace import Configuration

        self._known[self._key(picks)] = costs
        self._tell(Configuration(self._space, values=dict(picks)), costs)


@sampler("botorch_nehvi")
class BoTorch(Peer):
    """Noisy expected hypervolume improvement (qLogNEHVI) of BoTorch, over candidates of ours.

    One Gaussian process for each trained objective, on the features of `front`; known costs are deterministic.
    """

    FIRST, CANDIDATES, SAMPLES = 16, 256, 64

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._networks = Networks.of(problem)
        generator = random.Random(trial_seed(problem.settings.seed, 0, "features"))
        sample = collect(lambda: drawn(self.options, generator), self._look, 256)
        self._encoder = Encoder([seen.traits for seen in sample])
        self._known = np.flatnonzero(~np.isnan(sample[0].costs)).tolist()
        self._seen: list[Seen] = []
        self._costs: list[np.ndarray] = []

    def _look(self, picks: Mapping[str, Value]) -> Seen | None:
        return self._networks.look({**self.fixed, **picks})

    def proposed(self, number: int) -> Mapping[str, Value]:
        generator = random.Random(trial_seed(self.problem.settings.seed, number, "sampler/0"))
        if len(self._costs) < self.FIRST:
            return drawn(self.options, generator)
        kept = np.flatnonzero(non_dominated(np.array(self._costs)))
        parents = sorted((self._seen[i] for i in kept), key=lambda seen: seen.size)
        taken = {seen.key for seen in self._seen}
        picks = [{name: seen.picks[name] for name in self.options} for seen in parents]

        def untaken(found: Mapping[str, Value]) -> Seen | None:
            seen = self._look(found)
            if seen is None or seen.key in taken:
                return None
            taken.add(seen.key)
            return seen

        pool = collect(proposals(picks, self.options, generator), untaken, self.CANDIDATES)
        if not pool:
            return drawn(self.options, generator)
        best = pool[int(np.argmax(self._promise(pool, number)))]
        return {name: best.picks[name] for name in self.options}

    def _inputs(self, networks: Sequence[Seen]) -> Any:
        import torch

        rows = self._encoder.rows([seen.traits for seen in networks])
        known = np.array([seen.costs for seen in networks])[:, self._known]
        return torch.tensor(np.concatenate([rows, known], 1))

    def _promise(self, pool: Sequence[Seen], number: int) -> np.ndarray:
        import torch
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import ModelList, SingleTaskGP
        from botorch.models.deterministic import GenericDeterministicModel
        from botorch.models.transforms.input import FilterFeatures
        from botorch.models.transforms.outcome import Standardize
        from botorch.sampling.get_sampler import get_sampler
        from gpytorch.mlls import ExactMarginalLogLikelihood

        inputs, costs = self._inputs(self._seen), torch.tensor(np.array(self._costs))
        columns = torch.arange(inputs.shape[1] - len(self._known))
        models: list[Any] = []
        with warnings.catch_warnings(), torch.random.fork_rng():
            warnings.simplefilter("ignore")
            torch.manual_seed(number)
            for i in range(costs.shape[1]):
                if i in self._known:
                    place = inputs.shape[1] - len(self._known) + self._known.index(i)
                    models.append(GenericDeterministicModel(_minus(place), num_outputs=1))
                    continue
                process = SingleTaskGP(
                    inputs,
                    -costs[:, [i]],
                    input_transform=FilterFeatures(columns),
                    outcome_transform=Standardize(1),
                )
                fit_gpytorch_mll(
                    ExactMarginalLogLikelihood(process.likelihood, process),
                    optimizer_kwargs={"options": {"maxiter": 50}},
                )
                models.append(process)
            every = ModelList(*models)
            acquisition = qLogNoisyExpectedHypervolumeImprovement(
                every,
                ref_point=(-self.problem.reference).tolist(),
                X_baseline=inputs,
                sampler=get_sampler(every.posterior(inputs[:1]), torch.Size([self.SAMPLES]), seed=number),
                prune_baseline=True,
                cache_root=False,  # which deterministic models have none of
            )
            with torch.no_grad():
                found = [acquisition(part[:, None]) for part in self._inputs(pool).split(32)]
        return np.asarray(torch.cat(found))

    def learn(self, number: int, picks: Mapping[str, Value], costs: np.ndarray) -> None:
        if (seen := self._look(picks)) is not None:
            self._seen.append(seen)
            self._costs.append(costs)


def _minus(place: int) -> Callable[[Any], Any]:
    """A function of inputs that returns one of their columns with its sign changed."""
    return lambda inputs: -inputs[..., place : place + 1]
