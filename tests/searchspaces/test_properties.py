"""What holds for every architecture of every space: JSON, keys in other processes, exact costs, gradients.

The exhaustive tier prices 1,000 architectures of each space where the default run prices 50, of `mixing` with every
operator and every field 200.
"""

import itertools
import json
import random
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.pricing import Probe
from objectives.counting import count
from searchspaces import SEARCH_SPACES, Architecture, Choice, SearchSpace, Value, architecture_cost, build
from searchspaces.architecture import key_of
from searchspaces.fields import FieldValues, example
from searchspaces.patterns import Patterns
from searchspaces.space import Numbers
from searchspaces.spaces.mixing import Mixers

IMAGE = (3, 16, 16)
spaces = pytest.mark.parametrize("name", sorted(SEARCH_SPACES))


WIDE = "mixing with every operator and field"


@cache
def space(name: str) -> SearchSpace:
    if name != WIDE:
        return SEARCH_SPACES[name](IMAGE, 10)
    of = SEARCH_SPACES["mixing"](IMAGE, 10, omega=2**12)
    mixers = [choice for choice in of.choices if isinstance(choice.allowed, Mixers)]
    return of.narrow({"depth": [1, 2], **{choice.name: values(choice) for choice in (*mixers, *of.more)}})


def values(choice: Choice) -> list[Value]:
    """Values of a choice for tests: of a field those that its operator has as examples."""
    allowed: Any = choice.allowed
    if isinstance(allowed, FieldValues):
        return list(dict.fromkeys((*choice.options, *(value for value in allowed.examples if value in allowed))))
    if isinstance(allowed, Numbers):
        return [0.0, 0.2]
    if isinstance(allowed, Patterns):
        return ["own", "uniform", "alternate", "first(1)", "every(2)"]
    if isinstance(allowed, Mixers):
        return sorted(allowed.names())
    return sorted(k for k, cls in allowed.items() if example(cls)) if isinstance(allowed, dict) else list(allowed)


SHALLOW: dict[str, dict[str, Any]] = {"spartan": {"depth": [1, 2], "s3.depth": [4]}}
"""Fewer equal blocks, which cost what one costs, where counting them would take minutes."""


def draws(name: str, number: int, seed: int = 0, *, shallow: bool = False) -> list[Architecture]:
    """Different architectures, drawn uniformly from the assignments; fewer where the space is used up."""
    of = space(name).narrow(SHALLOW.get(name, {}) if shallow else {})
    generator, found, probe = random.Random(seed), {}, Probe(of, {}, {})
    for _ in range(20 * number):
        picks = of.draw(generator)
        if name == WIDE and probe.refusal(picks):
            continue
        architecture = of.decode(picks)
        found[architecture.key] = architecture
        if len(found) == number:
            break
    return list(found.values())


@spaces
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_every_assignment_decodes_and_survives_json(name: str, data: st.DataObject) -> None:
    choices = {c.name: st.sampled_from(c.options) for c in space(name).choices}
    architecture = space(name).decode(data.draw(st.fixed_dictionaries(choices)))
    text = json.dumps(architecture.to_json())
    assert Architecture.from_json(json.loads(text)) == architecture
    assert Architecture.from_json(json.loads(text)).key == architecture.key == key_of(architecture.to_json())


def test_keys_are_the_same_in_another_process() -> None:
    code = (
        "import json, sys; from searchspaces import Architecture\n"
        "print(json.dumps([Architecture.from_json(a).key for a in json.load(sys.stdin)]))"
    )
    found = [architecture for name in sorted(SEARCH_SPACES) for architecture in draws(name, 200)]
    sent = json.dumps([architecture.to_json() for architecture in found])
    result = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == [architecture.key for architecture in found]


def unfuse(module: Any) -> bool:
    """Whether ``module`` ran in a fused form, which it no longer does."""
    was = bool(getattr(module, "fused", False))
    if was:
        module.fused = False
    return was


def check_cost(architecture: Architecture) -> None:
    """Holds the closed forms to FlopCounterMode on the meta device, of the unfused form and of the form that is run."""
    cost, label = architecture_cost(architecture), architecture.label()
    with torch.device("meta"):
        model = build(architecture)
    executed = counted = count(model, IMAGE)
    fused = [module for module in model.modules() if unfuse(module)]
    if fused:
        counted = count(model, IMAGE)
    if "sparse" not in label and "cheb_kan" not in label:
        # A masked matrix is counted dense, its macs are its non-zeros; of polynomials the first, 1, is run as a bias.
        assert cost.macs + cost.transform_macs == counted.macs, label
    assert cost.macs_executed == executed.macs, label
    assert cost.parameters == sum(p.numel() for p in model.parameters()), label
    assert cost.trainable_parameters == sum(p.numel() for p in model.parameters() if p.requires_grad), label
    assert cost.elementwise_flops == executed.elementwise_flops, label
    assert cost.transform_flops == executed.transform_flops, label
    state = model.state_dict().values()
    assert cost.checkpoint_bytes == sum(t.numel() * t.element_size() for t in state), label


@spaces
def test_the_cost_of_fifty_architectures_is_what_counting_gives(name: str) -> None:
    for architecture in draws(name, 50, shallow=True):
        check_cost(architecture)


@pytest.mark.parametrize("seed", range(4))
def test_the_cost_of_fifty_architectures_of_every_operator_and_field_is_what_counting_gives(seed: int) -> None:
    found = draws(WIDE, 50, seed)
    assert len(found) == 50
    for architecture in found:
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture
        check_cost(architecture)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [*sorted(SEARCH_SPACES), WIDE])
def test_the_cost_of_a_thousand_architectures_is_what_counting_gives(name: str) -> None:
    for architecture in draws(name, 1_000, seed=1):
        check_cost(architecture)


@spaces
def test_fifty_architectures_run_forward_and_backward(name: str) -> None:
    cheap = [a for a in draws(name, 300) if architecture_cost(a).macs <= 20_000_000][:50]
    assert len(cheap) == 50
    for architecture in cheap:
        felt = 0.0
        for seed in range(1, 6):  # eight layers of ReLU on four tokens may be dead from the start
            model = build(architecture, seed=seed)
            image = torch.rand(2, *IMAGE, requires_grad=True)
            logits = model(image)
            logits.square().sum().backward()
            assert logits.shape == (2, 10)
            assert torch.isfinite(logits).all()
            assert image.grad is not None
            assert torch.isfinite(image.grad).all(), architecture.label()
            if felt := float(image.grad.abs().sum()):
                break
        assert felt > 0, architecture.label()


@pytest.mark.parametrize("name", [*sorted(SEARCH_SPACES), WIDE])
def test_a_changed_pick_changes_the_key_exactly_if_it_changes_the_network(name: str) -> None:
    generator, of, image = random.Random(2), space(name), torch.rand(2, *IMAGE)

    def built(architecture: Architecture) -> tuple[Any, ...]:
        model, cost = build(architecture, seed=3).train(), architecture_cost(architecture)
        trained = tuple(parameter.requires_grad for parameter in model.parameters())
        torch.manual_seed(4)  # for what modules draw, and for steps away from a start that different networks share
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1 * torch.randn_like(parameter) * parameter.requires_grad
        return (*model(image).flatten().tolist(), cost.macs, *trained)

    def affordable(architecture: Architecture) -> bool:
        return architecture_cost(architecture).macs <= 4_000_000

    drawn, probe = (of.draw(generator) for _ in range(1_000)), Probe(of, {}, {})
    can = (picks for picks in drawn if not probe.refusal(picks) and affordable(of.decode(picks)))
    for picks in itertools.islice(can, 2):
        networks = {of.decode(picks).key: built(of.decode(picks))}
        for choice in of.choices:
            for option in choice.options:
                other = {**picks, choice.name: option}
                if probe.refusal(other):
                    continue
                changed = of.decode(other)
                if changed.key not in networks and affordable(changed):
                    network = built(changed)
                    assert network not in networks.values(), (of.decode(picks).label(), choice.name, option)
                    networks[changed.key] = network
