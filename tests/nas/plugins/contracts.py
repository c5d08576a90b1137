"""What an author of plugins writes to test them: a class a member, from the contract of its kind."""

from pathlib import Path

import pytest

from nas.plugins import load_plugins
from nas.settings import ExecutionSettings, SearchSettings
from nas.testing.attacks import AttackContract
from nas.testing.datasets import DatasetContract
from nas.testing.executors import ExecutorContract
from nas.testing.objectives import ObjectiveContract
from nas.testing.operators import OperatorContract
from nas.testing.samplers import SamplerContract
from nas.testing.trainers import TrainerContract
from objectives import OBJECTIVES
from objectives.attacks import ATTACKS
from searchspaces.architecture import TOKEN_MIXERS
from trainers import DATASETS, TRAINERS

load_plugins(path for path in Path(__file__).parent.glob("*.py") if path != Path(__file__))


@pytest.mark.parametrize("kind", [TOKEN_MIXERS["left_gate"]])
class TestLeftGate(OperatorContract):
    pass


@pytest.mark.parametrize("kind", [ATTACKS["margin_step"]])
class TestMarginStep(AttackContract):
    pass


@pytest.mark.parametrize("search", [SearchSettings("cheapest_first", {"drawn": 4})])
class TestCheapestFirst(SamplerContract):
    pass


class TestForked(ExecutorContract):
    settings = ExecutionSettings(kind="forked", workers=2)


@pytest.mark.parametrize("kind", [OBJECTIVES["certainty"]])
class TestCertainty(ObjectiveContract):
    pass


@pytest.mark.parametrize("data", [DATASETS["bars"]()])
class TestBars(DatasetContract):
    pass


@pytest.mark.parametrize("trainer", [TRAINERS["last_layer"](epochs=3)])
class TestLastLayer(TrainerContract):
    pass
