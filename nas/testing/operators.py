"""The contract of mixing operators, for the tests of this repository and of plugins.

A plugin's author writes, in a file that pytest collects::

    @pytest.mark.parametrize("kind", [GatedShift])
    class TestGatedShift(OperatorContract): ...

``kind`` is the class of the spec. Every test runs over its defaults and over a sample of its ``options(shape)``.
"""

import contextlib
import dataclasses
import itertools
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_type_hints

import pytest
import torch
from torch import Tensor

from nas.testing.costs import check_cost
from searchspaces.architecture import ChannelMixer, Shape, TokenMixer, decode, encode
from searchspaces.costs import NoFormulaError
from searchspaces.fields import documented
from searchspaces.freezing import FREEZE_PATTERNS, Freeze, Mixer, freeze

SHAPES: tuple[Shape, ...] = ((8, 8, 8), (16, 4, 12), (12, 14, 7))
COST_SHAPES: tuple[Shape, ...] = ((8, 6, 4), (16, 5, 7), (24, 4, 4))
ODD_SHAPES: tuple[Shape, ...] = ((3, 4, 4), (7, 1, 5), (13, 2, 2))
SHAPE: Shape = SHAPES[0]

CONTROL = "identity"
"""The kind that mixes nothing: its output is zero, for the residual around it."""


def variants(kind: Any, shape: Shape, limit: int = 4, seed: int = 0) -> list[Any]:
    """The spec with its defaults, if every field has one, and a seeded sample of the combinations of its options.

    Raises:
        ValueError: if that is not a single spec.
    """
    options = kind.options(shape)
    combinations = list(itertools.product(*options.values())) if options else []
    sample = random.Random(seed).sample(combinations, min(limit, len(combinations)))
    found = [kind(**dict(zip(options, values, strict=True))) for values in sample]
    if all(field.default is not dataclasses.MISSING for field in dataclasses.fields(kind)):
        found.insert(0, kind())
    if not found:
        raise ValueError(f"{kind.__name__} needs a default for every field, or options({shape}), to be tested.")
    return found


def build_seeded(config: TokenMixer | ChannelMixer, shape: Shape) -> Mixer:
    """The module of a spec, with the same weights in every call."""
    torch.manual_seed(0)
    return config.build(shape)


def changes(mixer: Mixer, moved: tuple[Any, ...]) -> Tensor:
    """(C, H, W): which outputs for one random image change if its elements at ``moved`` do."""
    x = torch.randn(1, *SHAPE)
    y = x.clone()
    y[moved] += torch.randn(y[moved].shape)  # not the same in all channels, which a norm takes away
    changed: Tensor = (mixer.eval()(y) - mixer(x)).abs()[0] > 1e-6
    return changed


def built_on_meta(config: TokenMixer | ChannelMixer, shape: Shape) -> Mixer:
    """The module of a spec, without memory."""
    with torch.device("meta"):
        return config.build(shape)


EDGES = (0, -1, math.nan, math.inf, -math.inf)
"""Values that make no network of most numeric fields."""
MEANINGS: dict[float, re.Pattern[str]] = {0: re.compile(r"\b0\b(?!\.\d)"), -1: re.compile("negative")}
"""What the docstring says of a field that takes these values."""


def check_numbers(kind: Any, shape: Shape) -> None:
    """Makes sure that a spec refuses numbers of which no network can be made, and says what is wrong.

    Numbers without bound, or so small that nothing is left, are refused, when the spec is made or when it is priced. A
    0 or a negative number that is taken has a meaning, which the docstring states with the word ``0`` or ``negative``.

    Raises:
        AssertionError: naming the field and the value.
    """
    base, hints = variants(kind, shape, limit=1)[0], get_type_hints(kind)
    about = {name: text for cls in reversed(kind.__mro__) for name, text in documented(cls).items()}
    for name in (field.name for field in dataclasses.fields(kind)):
        numbers = {int: EDGES[:2], float: (*map(float, EDGES), 1e-12)}
        for value in numbers.get(float if hints[name] == (float | None) else hints[name], ()):
            case = f"{kind.kind}.{name} = {value}"
            spec, reason = base, ""
            try:
                spec = dataclasses.replace(base, **{name: value})
                with contextlib.suppress(NoFormulaError):
                    spec.cost(shape)
            except ValueError as error:
                reason = str(error)
            if reason:
                assert name in reason or f"{value:g}" in reason, f"{case} is refused without its name: {reason}"
                continue
            assert math.isfinite(value), f"{case} is taken"
            meaning = MEANINGS.get(value)
            assert meaning is None or meaning.search(about.get(name, "")), f"{case} is taken, but not documented"
            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(0)
                y = spec.build(shape)(torch.randn(2, *shape))
            assert torch.isfinite(y).all(), f"{case} makes no network"
            assert y.any() or kind.kind == CONTROL, f"{case} makes no network"


def refuses(make: Callable[[Shape], Any], shape: Shape) -> bool:
    """Whether a shape is refused; what has no closed form is built when it is priced, so it counts."""
    try:
        make(shape)
    except (ValueError, NoFormulaError):
        return True
    return False


class OperatorContract:
    """Tests of a token or channel mixer; parametrise a subclass with ``kind``, the classes of the specs."""

    @pytest.fixture(autouse=True)
    def _seeded(self) -> Iterator[None]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            yield

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_shape_is_kept_and_output_finite(self, kind: Any, shape: Shape) -> None:
        for config in variants(kind, shape):
            y = build_seeded(config, shape)(torch.randn(3, *shape))
            assert y.shape == (3, *shape)
            assert torch.isfinite(y).all()

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_gradients_are_finite_and_reach_the_input(self, kind: Any, shape: Shape) -> None:
        active = [c for c in variants(kind, shape) if build_seeded(c, shape)(torch.randn(1, *shape)).any()]
        assert active or kind.kind == CONTROL
        for config in active:
            mixer, x = build_seeded(config, shape), torch.randn(3, *shape, requires_grad=True)
            (mixer(x) * torch.randn(3, *shape)).sum().backward()
            assert x.grad is not None
            assert x.grad.abs().sum() > 0
            for gradient in (x.grad, *(p.grad for p in mixer.parameters() if p.requires_grad)):
                assert gradient is not None
                assert torch.isfinite(gradient).all()

    def test_images_of_a_batch_do_not_see_each_other(self, kind: Any) -> None:
        for config in variants(kind, SHAPE):
            mixer, x = build_seeded(config, SHAPE).eval(), torch.randn(3, *SHAPE)
            torch.testing.assert_close(mixer(x)[1:2], mixer(x[1:2]))

    def test_the_layout_in_memory_makes_no_difference(self, kind: Any) -> None:
        for config in variants(kind, SHAPE):
            mixer, x = build_seeded(config, SHAPE).eval(), torch.randn(3, *SHAPE)
            expected = mixer(x)
            mixer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            torch.testing.assert_close(mixer(x.to(memory_format=torch.channels_last)), expected, atol=1e-5, rtol=1e-5)

    def test_spatial_and_channel_parameters_are_its_own_and_disjoint(self, kind: Any) -> None:
        for config in variants(kind, SHAPE):
            mixer = build_seeded(config, SHAPE)
            spatial, channel = (
                {id(p) for p in part} for part in (mixer.spatial_parameters(), mixer.channel_parameters())
            )
            assert spatial.isdisjoint(channel)
            assert spatial | channel <= {id(p) for p in mixer.parameters()}

    def test_numbers_of_which_no_network_can_be_made_are_refused(self, kind: Any) -> None:
        check_numbers(kind, SHAPE)

    def test_canonical_form_is_its_own_canonical_form(self, kind: Any) -> None:
        for config in variants(kind, SHAPE, limit=50):
            canonical = config.canonical()
            assert canonical.canonical() == canonical
            assert type(canonical) is kind

    def test_canonical_form_builds_the_same_network(self, kind: Any) -> None:
        for config in variants(kind, SHAPE):
            x = torch.randn(2, *SHAPE)
            one, other = (build_seeded(c, SHAPE).eval()(x) for c in (config, config.canonical()))
            assert torch.equal(one, other)

    def test_json_round_trip_returns_the_same_spec(self, kind: Any) -> None:
        role = TokenMixer if issubclass(kind, TokenMixer) else ChannelMixer
        for config in variants(kind, SHAPE, limit=50):
            data = json.loads(json.dumps(encode(config)))
            assert data["kind"] == kind.kind
            assert decode(role, data, "mixer") == config

    def test_label_is_a_short_line(self, kind: Any) -> None:
        for config in variants(kind, SHAPE, limit=50):
            assert 0 < len(config.label()) < 80
            assert "\n" not in config.label()

    def test_a_spec_cannot_be_changed(self, kind: Any) -> None:
        assert kind.__dataclass_params__.frozen
        for config in variants(kind, SHAPE):
            assert hash(config) == hash(dataclasses.replace(config))

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_it_builds_and_runs_on_the_meta_device(self, kind: Any, shape: Shape) -> None:
        for config in variants(kind, shape):
            with torch.device("meta"):
                mixer = config.build(shape)
                assert mixer(torch.empty(1, *shape)).shape == (1, *shape)
            assert all(tensor.is_meta for tensor in (*mixer.parameters(), *mixer.buffers()))

    def test_the_same_seed_builds_the_same_weights(self, kind: Any) -> None:
        for config in variants(kind, SHAPE):
            one, other = (build_seeded(config, SHAPE).state_dict() for _ in range(2))
            assert all(torch.equal(one[name], other[name]) for name in one)

    def test_it_mixes_the_positions_or_channels_of_its_role(self, kind: Any) -> None:
        mixers = [build_seeded(config, SHAPE) for config in variants(kind, SHAPE)]
        if issubclass(kind, TokenMixer):
            changed = [int(changes(mixer, (0, slice(None), 3, 3)).any(0).sum()) for mixer in mixers]
            assert max(changed) > 1 or (kind.kind == CONTROL and max(changed) == 0)
        else:
            changed = [int(changes(mixer, (0, 3)).any(2).any(1).sum()) for mixer in mixers]
            assert min(changed) > 1 or (kind.kind == CONTROL and max(changed) == 0)

    @pytest.mark.parametrize("shape", ODD_SHAPES, ids=str)
    def test_what_cannot_be_built_is_not_priced(self, kind: Any, shape: Shape) -> None:
        for config in variants(kind, SHAPE, limit=12):
            if refuses(partial(built_on_meta, config), shape):
                assert refuses(config.cost, shape)  # a search refuses what it cannot price

    @pytest.mark.parametrize(("shape", "pattern"), list(zip(COST_SHAPES, FREEZE_PATTERNS, strict=True)), ids=str)
    def test_its_closed_form_is_the_counted_cost(self, kind: Any, shape: Shape, pattern: Freeze) -> None:
        for config in variants(kind, shape, limit=12, seed=1):
            try:
                cost = config.cost(shape, pattern)
            except NoFormulaError:
                pytest.skip(f"{kind.kind} has no closed form, its cost is counted")
            check_cost(cost, partial(config.build, shape), shape, lambda mixer: freeze(pattern, [mixer]))
