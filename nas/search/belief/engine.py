"""Proposes networks one at a time, from what was measured of the others; the sampler `front` without a study around it.

A pure function of what it was told, in that order, of the pending networks and of the seed of the proposal: what a
model needs to learn, it learns at fixed numbers of trials from a fixed start.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
from scipy.special import expit, logit, ndtr

from nas.results.pareto import non_dominated
from nas.search.belief.candidates import Options, Picks, changed, collect, drawn, proposals
from nas.search.belief.features import Encoder, Traits
from nas.search.belief.improvement import Improvement
from nas.search.belief.process import UNSEEN, Kernel, Points, Process, learn, subset
from searchspaces import Value

SAMPLE = 256
"""Random networks by which features and costs are scaled."""
FIRST = 24
"""Most trials that are spread over the costs before anything is believed."""
EVERY, AROUND = 8, 24
"""One proposal in so many is for a cost that runs through their range: the best of so many random networks near it.

Where a few good networks are hidden among many cheap ones, what is promised leads away from them: one search in three
of the problem `cheap_end` ended below random draws without this.
"""
SMALL, MANY, FEW = 50_000, 400, 128
"""Assignments of a space that counts as small; candidates for a proposal there, and in a larger one.

Of 96 in place of 128, searches of `branches` had .893 of the front's hypervolume after 100 trials in place of .916.
"""
LEARNED_FROM, PREDICTED_FROM = 150, 256
"""Most trials from which hyperparameters are learned, and on which predictions stand; 400 found no better fronts."""
LOOKED = 5_000
"""Networks that are remembered with their traits, some ten kilobytes each."""
CLIP = 1e-3
"""Distance from 0 and 1 at which the logit of a fraction ends."""
REPEATED = 10
"""Networks of the front of which it is asked what another training would be worth."""
BEST = 6
"""Candidates whose neighbours are looked at too."""
WIDENED = 1.3
"""Factor of deviations: a model that searches for its own optimum is surer than it should be where it has not been."""
OPTIMISTIC = 2.0
"""Deviations by which a network may do better than expected and still not be worth a longer training."""
NOTHING = 1e-15
"""Weight of what is not known of a network, too small to count beside any expected growth."""
FAILURE = "to fail"
"""Name of what networks that failed have, beside the names of limits."""
NODES = np.linspace(-3.5, 3.5, 29)
"""Standard deviations at which a belief is looked at."""
CHANCES = np.exp(-0.5 * NODES**2) / np.exp(-0.5 * NODES**2).sum()


@dataclass(frozen=True)
class Seen:
    """A network as far as it is known before it is trained.

    Args:
        key: equal networks have equal keys.
        costs: (m,) known costs, to be minimised; NaN for what must be measured.
        size: logarithm of the cost along which the first trials are spread.
    """

    picks: Picks
    key: str
    traits: Traits
    costs: np.ndarray
    size: float


@dataclass(frozen=True)
class Aim:
    """What is searched for.

    Args:
        options: of every choice.
        look: the network of some picks; None if it cannot be built or breaks a bound.
        fractions: for each objective whether it lies in [0, 1].
        reference: (m,) reference point of the hypervolume, in costs.
        seed: of the random networks by which features are scaled.
        limits: largest values that a network may have of what is measured beside the objectives, by name, on a scale on
            which such values can be believed to be normal.
    """

    options: Options
    look: Callable[[Picks], Seen | None]
    fractions: Sequence[bool]
    reference: np.ndarray
    seed: int = 0
    limits: Mapping[str, float] = field(default_factory=dict)

    def allow(self, limited: Mapping[str, float]) -> bool:
        """Whether what was measured keeps the limits."""
        return all(value <= self.limits.get(name, math.inf) for name, value in limited.items())


@dataclass(frozen=True)
class Told:
    """A training that has ended.

    Args:
        network: number of it; trainings of one network have the same.
        costs: (m,) as measured; None if it failed, as similar ones might, or ended because it is beyond a limit.
        fidelity: 1 for a whole training, less for one that is not comparable with it.
        foreign: it is of another search, which informs this one: the network may still be proposed.
        limited: values of what has a limit, by name, as far as they were measured; see `Aim.limits`.
    """

    picks: Picks
    network: int
    costs: np.ndarray | None
    fidelity: float
    foreign: bool
    limited: Mapping[str, float]


@dataclass(frozen=True)
class Pending:
    """A network that is being trained; see `Told` for the fidelity."""

    seen: Seen
    fidelity: float = 1.0


class Engine:
    """Learns what networks are worth, and proposes the one that promises the largest growth of the hypervolume."""

    def __init__(self, aim: Aim) -> None:
        self.aim = aim
        self._told: list[Told] = []
        self._networks: dict[str, int] = {}
        self._tried: set[str] = set()
        self._measured: list[int] = []
        self._rows: dict[int, np.ndarray] = {}
        """Features of told networks, by their numbers."""
        self._kernels: dict[tuple[int | str, int], Kernel] = {}
        self._looked: dict[tuple[Value, ...], Seen | None] = {}
        self._believed: tuple[object, _Belief] | None = None

    def tell(
        self,
        picks: Picks,
        key: str,
        costs: np.ndarray | None,
        *,
        fidelity: float = 1.0,
        foreign: bool = False,
        limited: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Learns how a training turned out; see `Told`."""
        if costs is not None:
            self._measured.append(len(self._told))
        network = self._networks.setdefault(key, len(self._networks))
        self._told.append(Told(picks, network, costs, fidelity, foreign, dict(limited)))
        if not foreign:
            self._tried.add(key)

    def look(self, picks: Mapping[str, Value]) -> Seen | None:
        """As ``aim.look``, once for the same picks."""
        place = tuple(picks[name] for name in self.aim.options)
        if place not in self._looked:
            if len(self._looked) > LOOKED:
                self._looked.clear()
            self._looked[place] = self.aim.look(dict(picks))
        return self._looked[place]

    def propose(self, seed: int, pending: Sequence[Pending] = (), avoid: Set[str] = frozenset()) -> Picks | None:
        """The next picks; None if no network is left.

        Args:
            seed: of this proposal.
            pending: networks that are being trained.
            avoid: keys of networks not to propose, beside those that were told or are pending.
        """
        generator = random.Random(seed)
        taken = self._tried | {each.seen.key for each in pending} | avoid
        started = self._started(pending)
        if self.is_spreading(pending):
            found = self._spread(started, pending, taken, generator)
        elif len(self._measured) < 2:
            found = self._likeliest(taken, generator) or self._spread(started, pending, taken, generator)
        elif started % EVERY == EVERY - 1:
            found = self._promising_near(self._size(started // EVERY), pending, taken, generator)
        else:
            found = self._promising(pending, taken, generator)
        return found.picks if found is not None else self._any(taken, generator)

    def is_spreading(self, pending: Sequence[Pending] = ()) -> bool:
        """Whether the next network is one of the first, which are spread over the costs whatever is believed."""
        several = [values for values in self.aim.options.values() if len(values) > 1]
        return self._started(pending) < min(FIRST, 8 + len(several) // 2)

    def _started(self, pending: Sequence[Pending]) -> int:
        """Networks that were told or are being trained."""
        return len(self._networks.keys() | {each.seen.key for each in pending})

    @cached_property
    def _sample(self) -> list[Seen]:
        generator = random.Random(self.aim.seed)
        return collect(lambda: drawn(self.aim.options, generator), self.look, SAMPLE)

    @cached_property
    def encoder(self) -> Encoder:
        """Of the networks of this space."""
        return Encoder([seen.traits for seen in self._sample])

    def _any(self, taken: Set[str], generator: random.Random) -> Picks | None:
        """Some network that is not taken; None if there is none, in a space small enough to know."""
        if math.prod(map(len, self.aim.options.values())) > SMALL:
            return drawn(self.aim.options, generator)
        lists = [generator.sample(list(values), len(values)) for values in self.aim.options.values()]
        for values in itertools.product(*lists):
            seen = self.look(dict(zip(self.aim.options, values, strict=True)))
            if seen is not None and seen.key not in taken:
                return seen.picks
        return None

    def _spread(
        self, number: int, pending: Sequence[Pending], taken: Set[str], generator: random.Random
    ) -> Seen | None:
        """A random network near a cost that runs through the range of costs, unlike those that are there."""
        near = self._drawn_near(self._size(number), 6, 64, taken, generator)
        if not near or not number:
            return near[0] if near else None
        rows, there = (
            self.encoded(near),
            np.vstack([self.rows(range(len(self._told))), self.encoded([each.seen for each in pending])]),
        )
        distances = ((rows[:, None] - there[None]) ** 2).sum(-1).min(1)
        return near[int(np.argmax(distances))]

    def _likeliest(self, taken: Set[str], generator: random.Random) -> Seen | None:
        """Of random networks the one that is likeliest to keep what hardly any has kept; None if nothing says which."""
        pool = collect(lambda: drawn(self.aim.options, generator), self._untaken(set(taken)), FEW)
        conditions = list(self.conditions()) if pool else []
        if not conditions:
            return None
        points = self.trained_whole(pool)
        return pool[int(np.argmax(np.prod([condition.kept(points) for condition in conditions], axis=0)))]

    def _promising_near(
        self, size: float, pending: Sequence[Pending], taken: Set[str], generator: random.Random
    ) -> Seen | None:
        """Of random networks near a cost the one that promises most."""
        near = self._drawn_near(size, AROUND, FEW, taken, generator)
        return near[int(np.argmax(self._believe(pending).promise(near)))] if near else None

    def _size(self, number: int) -> float:
        """A place in the range of costs: half way between even steps in cost and in what random networks cost."""
        sizes = np.sort([seen.size for seen in self._sample]) if self._sample else np.zeros(1)
        place = _van_der_corput(number + 1)
        return float(sizes[0] + (sizes[-1] - sizes[0]) * place + np.quantile(sizes, place)) / 2

    def _drawn_near(
        self, size: float, wanted: int, among: int, taken: Set[str], generator: random.Random
    ) -> list[Seen]:
        """Of random networks those that are nearest to a cost."""
        pool = collect(lambda: drawn(self.aim.options, generator), self._untaken(set(taken)), among)
        return sorted(pool, key=lambda seen: abs(seen.size - size))[:wanted]

    def encoded(self, networks: Sequence[Seen]) -> np.ndarray:
        """(n, columns) features of networks; those of networks that were told are at hand once they were asked for."""
        known = [self._rows.get(self._networks.get(seen.key, UNSEEN)) for seen in networks]
        made = iter(self.encoder.rows([seen.traits for seen, row in zip(networks, known, strict=True) if row is None]))
        rows = [next(made) if row is None else row for row in known]
        return np.array(rows).reshape(len(rows), len(self.encoder.groups))

    def trained_whole(self, networks: Sequence[Seen]) -> Points:
        """The points at which whole trainings of networks lie."""
        return Points.whole(self.encoded(networks), [self._networks.get(seen.key, UNSEEN) for seen in networks])

    def points(self, numbers: Sequence[int]) -> Points:
        """The points at which trainings that were told lie."""
        told = [self._told[i] for i in numbers]
        fidelities = np.array([each.fidelity for each in told])
        return Points(self.rows(numbers), fidelities, np.array([each.network for each in told], dtype=int))

    def _untaken(self, taken: set[str]) -> Callable[[Picks], Seen | None]:
        """As `look`, but each network once, and none that is taken."""

        def look(picks: Picks) -> Seen | None:
            seen = self.look(picks)
            if seen is None or seen.key in taken:
                return None
            taken.add(seen.key)
            return seen

        return look

    def _promising(self, pending: Sequence[Pending], taken: Set[str], generator: random.Random) -> Seen | None:
        belief = self._believe(pending)
        places = [self.look(self._told[i].picks) for i in belief.members]
        members = sorted((seen for seen in places if seen is not None), key=lambda seen: seen.size)
        small = math.prod(map(len, self.aim.options.values())) <= SMALL
        wanted = (MANY if small else FEW) // 2
        look = self._untaken(set(taken))
        pool = collect(proposals([seen.picks for seen in members], self.aim.options, generator), look, wanted)
        if not pool:
            return None
        promise = belief.promise(pool)
        best = [pool[i].picks for i in np.argsort(-promise, kind="stable")[:BEST]]
        near = collect(lambda: changed(generator.choice(best), self.aim.options, generator), look, wanted)
        if near:
            pool, promise = [*pool, *near], np.append(promise, belief.promise(near))
        return pool[int(np.argmax(promise))]

    def worth(self, networks: Sequence[Seen], pending: Sequence[Pending] = ()) -> np.ndarray:
        """(n,) by how much each network is expected to enlarge the front of whole trainings, if it gets one.

        It is 0 where even an outcome that is `OPTIMISTIC` deviations better than expected would be dominated.
        """
        if len(self._measured) < 2:
            return np.zeros(len(networks))
        return self._believe(pending).worth(networks)

    def repeat(self, new: Seen, networks: Sequence[Seen], pending: Sequence[Pending] = ()) -> int | None:
        """Which of these networks, all trained whole, it is worth more to train again than to train a new one.

        Worth is in hypervolume for both: of a new network what it is expected to add, of a repetition by how much the
        front of the estimates is expected to grow when the estimate moves.
        """
        if len(self._measured) < 2:
            return None
        belief = self._believe(pending)
        worth = belief.worth_again(networks)
        best = int(np.argmax(worth))
        if new.key in self._tried:  # there is no new one
            return best
        return best if worth[best] > belief.promise([new])[0] else None

    def _believe(self, pending: Sequence[Pending]) -> "_Belief":
        """What is believed now; made once for what was told and what is pending."""
        state = len(self._told), tuple((each.seen.key, each.fidelity) for each in pending)
        if self._believed is None or self._believed[0] != state:
            self._believed = state, _Belief(self, pending)
        return self._believed[1]

    @property
    def told(self) -> Sequence[Told]:
        """The trainings that were told."""
        return self._told

    @property
    def measured(self) -> list[int]:
        """Numbers of the trainings that were told with values."""
        return list(self._measured)

    @cached_property
    def unknown(self) -> list[int]:
        """Numbers of the objectives that must be measured."""
        lacking = np.isnan(np.array([seen.costs for seen in self._sample])).any(axis=0)
        return np.flatnonzero(lacking).tolist()

    def costs(self, numbers: Sequence[int]) -> np.ndarray:
        """(n, m) costs that were measured."""
        return np.array([self._told[i].costs for i in numbers])

    def rows(self, numbers: Iterable[int]) -> np.ndarray:
        """(n, columns) features of networks that were told; found when they are first asked for."""
        found = []
        for told in (self._told[i] for i in numbers):
            if told.network not in self._rows:
                seen = self.look(told.picks)
                columns = len(self.encoder.groups)
                self._rows[told.network] = np.zeros(columns) if seen is None else self.encoded([seen])[0]
            found.append(self._rows[told.network])
        return np.array(found).reshape(len(found), len(self.encoder.groups))

    def learned(self, objective: int) -> Kernel:
        """Hyperparameters of an objective, from the measured networks at the last number at which they are learned."""
        measured = self.measured
        at = learned_at(len(measured))
        if (objective, at) not in self._kernels:
            first = measured[:at]
            order = by_rank(self.costs(first)) if at > LEARNED_FROM else range(at)
            chosen = [first[i] for i in subset(order, LEARNED_FROM, np.random.default_rng(at))]
            values = standard(self.scaled(objective, self.costs(chosen)[:, objective]))[0]
            self._kernels[objective, at] = learn(self.points(chosen), self.encoder.groups, values)
        return self._kernels[objective, at]

    def conditions(self) -> Iterator["Condition"]:
        """What a network must keep to count, as far as it was ever seen not to be kept."""
        failed = {
            i: float(each.costs is None)
            for i, each in enumerate(self._told)
            if each.costs is not None or self.aim.allow(each.limited)
        }
        if any(failed.values()):
            yield self._condition(FAILURE, failed, 0.5, lambda zeros_and_ones: (zeros_and_ones, 0.0, 1.0))
        for name, limit in self.aim.limits.items():
            values = {i: each.limited[name] for i, each in enumerate(self._told) if name in each.limited}
            if len(values) > 1 and max(values.values()) > limit:
                yield self._condition(name, values, limit, standard)

    def _condition(
        self,
        name: str,
        values: Mapping[int, float],
        limit: float,
        scale: Callable[[np.ndarray], tuple[np.ndarray, float, float]],
    ) -> "Condition":
        """That a value stays below a limit, believed from what trainings had, by their numbers."""
        numbers, at = list(values), learned_at(len(values))
        if (name, at) not in self._kernels:
            chosen = subset(numbers[:at], LEARNED_FROM, np.random.default_rng(at))
            found = scale(np.array([values[i] for i in chosen]))[0]
            self._kernels[name, at] = learn(self.attempts(chosen), self.encoder.groups, found)
        chosen = subset(numbers, PREDICTED_FROM, np.random.default_rng(self.aim.seed))
        found, mean, deviation = scale(np.array([values[i] for i in chosen]))
        process = Process(self._kernels[name, at], self.encoder.groups, self.attempts(chosen), found)
        return Condition(name, process, (limit - mean) / deviation)

    def attempts(self, numbers: Sequence[int]) -> Points:
        """As `points`; whether a network keeps a condition is its own, however long it is trained."""
        return Points.whole(self.rows(numbers), [self._told[i].network for i in numbers])

    def scaled(self, objective: int, costs: np.ndarray) -> np.ndarray:
        """The costs on the scale on which they are believed."""
        return unbounded(costs) if self.aim.fractions[objective] else costs


@dataclass(frozen=True)
class Condition:
    """That a value which is believed stays below a limit."""

    name: str
    process: Process
    limit: float

    def kept(self, points: Points) -> np.ndarray:
        """(n,) how likely it is."""
        means, deviations = self.process.predict(points)
        chances: np.ndarray = ndtr((self.limit - means) / deviations)
        return chances


class _Belief:
    """What is believed at one moment.

    Attributes:
        members: numbers of the told trainings whose networks are on the front of the estimates.
    """

    def __init__(self, engine: Engine, pending: Sequence[Pending]) -> None:
        self.engine, self.aim = engine, engine.aim
        chosen = engine.measured
        if len(chosen) > PREDICTED_FROM:
            order = by_rank(engine.costs(chosen))
            chosen = [chosen[i] for i in subset(order, PREDICTED_FROM, np.random.default_rng(engine.aim.seed))]
        costs, points = engine.costs(chosen), engine.points(chosen)
        self.processes: dict[int, tuple[Process, float, float]] = {}
        for i in engine.unknown:
            values, mean, deviation = standard(engine.scaled(i, costs[:, i]))
            self.processes[i] = Process(engine.learned(i), engine.encoder.groups, points, values), mean, deviation
        longest: dict[int, int] = {}  # network -> place of its longest training
        for place, network in enumerate(points.networks.tolist()):
            if points.fidelities[place] >= points.fidelities[longest.get(network, place)]:
                longest[network] = place
        places = list(longest.values())
        if (points.fidelities[places] == 1).all():
            means = {i: process.smoothed[places] for i, (process, _, _) in self.processes.items()}
        else:
            means = self._means(Points.whole(points.rows[places], points.networks[places]))
        estimates = self._estimated(costs[places], means)
        self.conditions = list(engine.conditions())
        kept = np.array([self.aim.allow(engine.told[chosen[place]].limited) for place in places], dtype=bool)
        places, estimates = [place for place, well in zip(places, kept, strict=True) if well], estimates[kept]
        self.members = [chosen[places[j]] for j in np.flatnonzero(non_dominated(estimates))]
        pending = self._likely(pending)
        running, expected = [each.seen for each in pending], np.empty((0, costs.shape[1]))
        if pending:
            means = self._means(engine.trained_whole(running))
            expected = self._estimated(np.array([seen.costs for seen in running]), means)
        ours = {told.network for told in engine.told if not told.foreign}
        here = np.isin(points.networks[places], list(ours))
        self.hoped = Improvement(np.vstack([estimates[here], expected]), self.aim.reference)
        whole = np.array([each.fidelity == 1 for each in pending], dtype=bool)
        self._proven = np.vstack([estimates[here & (points.fidelities[places] == 1)], expected[whole]])

    def _likely(self, pending: Sequence[Pending]) -> list[Pending]:
        """Those of the networks that are being trained which are likelier than not to keep every limit."""
        limits = [condition for condition in self.conditions if condition.name != FAILURE]
        if not pending or not limits:
            return list(pending)
        points = self.engine.trained_whole([each.seen for each in pending])
        kept = np.min([condition.kept(points) for condition in limits], axis=0)
        return [each for each, chance in zip(pending, kept, strict=True) if chance >= 0.5]

    def _mean_and_deviation(self, objective: int, points: Points) -> tuple[np.ndarray, np.ndarray]:
        process, mean, deviation = self.processes[objective]
        means, deviations = process.predict(points)
        return mean + deviation * means, deviation * deviations

    def _cost(self, objective: int, values: np.ndarray) -> np.ndarray:
        return bounded(values) if self.aim.fractions[objective] else values

    def _means(self, points: Points) -> dict[int, np.ndarray]:
        """(n,) standardised means of every objective that must be measured, by its number."""
        return {i: process.mean(points) for i, (process, _, _) in self.processes.items()}

    def _estimated(self, costs: np.ndarray, means: Mapping[int, np.ndarray]) -> np.ndarray:
        """(n, m) the costs with those that must be measured as they are expected in the mean of many trainings."""
        costs = costs.copy()
        for i, (_, mean, deviation) in self.processes.items():
            costs[:, i] = self._cost(i, mean + deviation * means[i])
        return costs

    def promise(self, networks: Sequence[Seen]) -> np.ndarray:
        """(n,) expected growth of the hypervolume by each network, as far as it neither fails nor breaks a limit.

        What networks promise that were trained shortly counts as if they had kept it. Where no growth is expected of
        any, what is known least comes first.
        """
        points = self.engine.trained_whole(networks)
        return self._growth(networks, points, self._believed(points), self.hoped)

    def worth(self, networks: Sequence[Seen]) -> np.ndarray:
        """See `Engine.worth`."""
        optimistic = np.array([seen.costs for seen in networks])
        points = self.engine.trained_whole(networks)
        believed = self._believed(points)
        for i, (means, deviations) in believed.items():
            optimistic[:, i] = self._cost(i, means - OPTIMISTIC * deviations)
        beaten = [bool(((self._proven <= best).all(1)).any()) for best in optimistic]
        growth = self._growth(networks, points, believed, Improvement(self._proven, self.aim.reference))
        return np.where(beaten, 0.0, growth)

    def worth_again(self, networks: Sequence[Seen]) -> np.ndarray:
        """(n,) by how much the front of whole trainings is expected to grow if a network on it is trained once more.

        Its estimate then moves by what is not known of it now, as far as the luck of one training lets that through.
        """
        points = self.engine.trained_whole(networks)
        costs = self._estimated(np.array([seen.costs for seen in networks]), self._means(points))
        moves: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        unsure = np.zeros(len(networks))
        for i, (means, deviations) in self._believed(points).items():
            process, _, scale = self.processes[i]
            moved = deviations**2 / np.sqrt(deviations**2 + (scale * process.luck) ** 2)
            moves[i], unsure = (means, moved), unsure + moved / scale
        worth, m = np.zeros(len(networks)), costs.shape[1]
        on_front = np.flatnonzero(non_dominated(costs))
        for j in on_front[np.argsort(-unsure[on_front], kind="stable")[:REPEATED]]:
            others = Improvement(self._proven[~np.isclose(self._proven, costs[j]).all(1)], self.aim.reference)
            still, certain = [costs[[j]][:, [i]] for i in range(m)], [np.ones(1)] * m
            moving, chances = list(still), list(certain)
            for i, (means, moved) in moves.items():
                moving[i], chances[i] = self._cost(i, means[[j], None] + moved[j] * NODES), CHANCES
            worth[j] = others.expected(moving, chances)[0] - others.expected(still, certain)[0]
        return worth

    def _believed(self, points: Points) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """(n,) means and (n,) deviations of every objective that must be measured, by its number."""
        return {i: self._mean_and_deviation(i, points) for i in self.processes}

    def _growth(
        self,
        networks: Sequence[Seen],
        points: Points,
        believed: Mapping[int, tuple[np.ndarray, np.ndarray]],
        improvement: Improvement,
    ) -> np.ndarray:
        """(n,) expected growth, and next to nothing for every deviation of what is believed."""
        costs = np.array([seen.costs for seen in networks])
        outcomes, chances = [costs[:, [i]] for i in range(costs.shape[1])], [np.ones(1)] * costs.shape[1]
        unknown = np.zeros(len(networks))
        for i, (means, deviations) in believed.items():
            spread = WIDENED * deviations[:, None] * NODES
            outcomes[i], chances[i] = self._cost(i, means[:, None] + spread), CHANCES
            unknown += deviations
        growth = improvement.expected(outcomes, chances) + NOTHING * unknown
        for condition in self.conditions:
            growth = growth * condition.kept(points)
        return growth


def learned_at(trials: int) -> int:
    """The number of trials at which hyperparameters were last to be learned: each is the one before, 15 % and 2."""
    at = 2
    while (following := math.ceil(1.15 * at) + 2) <= trials:
        at = following
    return at


def by_rank(costs: np.ndarray) -> list[int]:
    """Numbers of the rows, the non-dominated ones first, then those that only these dominate, and so on."""
    left, order = np.arange(len(costs)), list[int]()
    while len(left) and len(order) < PREDICTED_FROM // 2:
        first = non_dominated(costs[left])
        order += left[first].tolist()
        left = left[~first]
    return [*order, *left.tolist()]


def standard(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The values at mean 0 and standard deviation 1, with those that they had."""
    mean, deviation = float(values.mean()), max(1e-6, float(values.std()))
    return (values - mean) / deviation, mean, deviation


def unbounded(fractions: np.ndarray) -> np.ndarray:
    """Logits."""
    logits: np.ndarray = logit(np.clip(fractions, CLIP, 1 - CLIP))
    return logits


def bounded(values: np.ndarray) -> np.ndarray:
    """Fractions of logits."""
    fractions: np.ndarray = expit(values)
    return fractions


def _van_der_corput(number: int) -> float:
    """The binary digits of a number, mirrored behind the point: 1/2, 1/4, 3/4, 1/8, ..."""
    place, step = 0.0, 0.5
    while number:
        place += step * (number & 1)
        number >>= 1
        step /= 2
    return place
