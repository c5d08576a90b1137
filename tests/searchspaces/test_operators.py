"""The contract of mixing operators; one that is registered later is held to it with its options."""

import dataclasses
import itertools
import json
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from searchspaces.architecture import CHANNEL_MIXERS, TOKEN_MIXERS, ChannelMixer, Shape, TokenMixer, decode, encode
from searchspaces.freezing import Mixer

MIXERS: dict[str, Any] = {**TOKEN_MIXERS, **{f"channel {name}": spec for name, spec in CHANNEL_MIXERS.items()}}
SHAPES: tuple[Shape, ...] = ((8, 8, 8), (16, 4, 12), (12, 14, 7))

CONTROL = "identity"
"""The kind that mixes nothing: it gives zeros, for the residual around it."""

every_mixer = pytest.mark.parametrize("kind", MIXERS.values(), ids=MIXERS.keys())
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def variants(kind: Any, shape: Shape, limit: int = 4) -> list[Any]:
    """The spec with its defaults, if every field has one, and a seeded sample of the combinations of its options."""
    options = kind.options(shape)
    combinations = list(itertools.product(*options.values()))
    sample = random.Random(0).sample(combinations, min(limit, len(combinations)))
    defaults = all(field.default is not dataclasses.MISSING for field in dataclasses.fields(kind))
    return ([kind()] if defaults else []) + [kind(**dict(zip(options, values, strict=True))) for values in sample]


def built(spec: TokenMixer | ChannelMixer, shape: Shape) -> Mixer:
    torch.manual_seed(0)
    return spec.build(shape)


def changes(mixer: Mixer, moved: tuple[Any, ...]) -> Tensor:
    """(C, H, W): which outputs for one random image change if its elements at ``moved`` do."""
    x = torch.randn(1, 8, 8, 8)
    y = x.clone()
    y[moved] += 1
    return ((mixer.eval()(y) - mixer(x)).abs() > 1e-6)[0]


@every_mixer
@every_shape
def test_shape_is_kept_and_output_finite(kind: Any, shape: Shape) -> None:
    for spec in variants(kind, shape):
        y = built(spec, shape)(torch.randn(3, *shape))
        assert y.shape == (3, *shape)
        assert torch.isfinite(y).all()


@every_mixer
@every_shape
def test_gradients_are_finite_and_reach_the_input(kind: Any, shape: Shape) -> None:
    specs = [spec for spec in variants(kind, shape) if built(spec, shape)(torch.randn(1, *shape)).any()]
    assert specs or kind.kind == CONTROL
    for spec in specs:
        mixer, x = built(spec, shape), torch.randn(3, *shape, requires_grad=True)
        (mixer(x) * torch.randn(3, *shape)).sum().backward()
        assert x.grad is not None
        assert x.grad.abs().sum() > 0
        for gradient in (x.grad, *(p.grad for p in mixer.parameters() if p.requires_grad)):
            assert gradient is not None
            assert torch.isfinite(gradient).all()


@every_mixer
def test_images_of_a_batch_do_not_see_each_other(kind: Any) -> None:
    for spec in variants(kind, (8, 8, 8)):
        mixer, x = built(spec, (8, 8, 8)).eval(), torch.randn(3, 8, 8, 8)
        torch.testing.assert_close(mixer(x)[1:2], mixer(x[1:2]))


@every_mixer
def test_the_layout_in_memory_makes_no_difference(kind: Any) -> None:
    for spec in variants(kind, (8, 8, 8)):
        mixer, x = built(spec, (8, 8, 8)).eval(), torch.randn(3, 8, 8, 8)
        expected = mixer(x)
        mixer.to(memory_format=torch.channels_last)
        torch.testing.assert_close(mixer(x.to(memory_format=torch.channels_last)), expected, atol=1e-5, rtol=1e-5)


@every_mixer
def test_spatial_and_channel_parameters_are_its_own_and_disjoint(kind: Any) -> None:
    for spec in variants(kind, (8, 8, 8)):
        mixer = built(spec, (8, 8, 8))
        spatial, channel = ({id(p) for p in part} for part in (mixer.spatial_parameters(), mixer.channel_parameters()))
        assert spatial.isdisjoint(channel)
        assert spatial | channel <= {id(p) for p in mixer.parameters()}


@every_mixer
def test_canonical_form_is_its_own_canonical_form(kind: Any) -> None:
    for spec in variants(kind, (8, 8, 8), limit=50):
        canonical = spec.canonical()
        assert canonical.canonical() == canonical
        assert type(canonical) is kind


@every_mixer
def test_canonical_form_builds_the_same_network(kind: Any) -> None:
    for spec in variants(kind, (8, 8, 8)):
        x = torch.randn(2, 8, 8, 8)
        one, other = (built(s, (8, 8, 8)).eval()(x) for s in (spec, spec.canonical()))
        assert torch.equal(one, other)


@every_mixer
def test_json_round_trip_gives_the_same_spec(kind: Any) -> None:
    role = TokenMixer if issubclass(kind, TokenMixer) else ChannelMixer
    for spec in variants(kind, (8, 8, 8), limit=50):
        data = json.loads(json.dumps(encode(spec)))
        assert data["kind"] == kind.kind
        assert decode(role, data, "mixer") == spec


@every_mixer
def test_label_is_a_short_line(kind: Any) -> None:
    for spec in variants(kind, (8, 8, 8), limit=50):
        assert 0 < len(spec.label()) < 80
        assert "\n" not in spec.label()


@every_mixer
def test_a_spec_cannot_be_changed(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen
    for spec in variants(kind, (8, 8, 8)):
        assert hash(spec) == hash(dataclasses.replace(spec))


@every_mixer
@every_shape
def test_it_builds_and_runs_on_the_meta_device(kind: Any, shape: Shape) -> None:
    for spec in variants(kind, shape):
        with torch.device("meta"):
            mixer = spec.build(shape)
            assert mixer(torch.empty(1, *shape)).shape == (1, *shape)
        assert all(tensor.is_meta for tensor in (*mixer.parameters(), *mixer.buffers()))


@every_mixer
def test_the_same_seed_builds_the_same_weights(kind: Any) -> None:
    for spec in variants(kind, (8, 8, 8)):
        one, other = (built(spec, (8, 8, 8)).state_dict() for _ in range(2))
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", TOKEN_MIXERS.values(), ids=TOKEN_MIXERS.keys())
def test_a_token_mixer_mixes_positions(kind: Any) -> None:
    pixel = (0, slice(None), 3, 3)
    changed = [changes(built(spec, (8, 8, 8)), pixel).any(0).sum() for spec in variants(kind, (8, 8, 8))]
    assert max(changed) > 1 or (kind.kind == CONTROL and max(changed) == 0)


@pytest.mark.parametrize("kind", CHANNEL_MIXERS.values(), ids=CHANNEL_MIXERS.keys())
def test_a_channel_mixer_mixes_channels(kind: Any) -> None:
    changed = [changes(built(spec, (8, 8, 8)), (0, 3)).any(2).any(1).sum() for spec in variants(kind, (8, 8, 8))]
    assert min(changed) > 1 or (kind.kind == CONTROL and max(changed) == 0)
