"""The contract of mixing operators; one that is registered later is held to it with its defaults."""

import dataclasses
import json

import pytest
import torch

from searchspaces.architecture import CHANNEL_MIXERS, TOKEN_MIXERS, ChannelMixer, Shape, TokenMixer, decode, encode
from searchspaces.freezing import Mixer

MIXERS = {**TOKEN_MIXERS, **{f"channel {name}": spec for name, spec in CHANNEL_MIXERS.items()}}
SHAPES: tuple[Shape, ...] = ((8, 8, 8), (16, 4, 12), (12, 14, 7))

every_mixer = pytest.mark.parametrize("spec", MIXERS.values(), ids=MIXERS.keys())
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def built(spec: type[TokenMixer] | type[ChannelMixer], shape: Shape) -> Mixer:
    torch.manual_seed(0)
    return spec().build(shape)


@every_mixer
@every_shape
def test_shape_is_kept_and_output_finite(spec: type[TokenMixer], shape: Shape) -> None:
    y = built(spec, shape)(torch.randn(3, *shape))
    assert y.shape == (3, *shape)
    assert torch.isfinite(y).all()


@every_mixer
@every_shape
def test_gradients_are_finite_and_reach_the_input(spec: type[TokenMixer], shape: Shape) -> None:
    mixer, x = built(spec, shape), torch.randn(3, *shape, requires_grad=True)
    (mixer(x) * torch.randn(3, *shape)).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    for gradient in (x.grad, *(p.grad for p in mixer.parameters())):
        assert gradient is not None
        assert torch.isfinite(gradient).all()


@every_mixer
def test_images_of_a_batch_do_not_see_each_other(spec: type[TokenMixer]) -> None:
    mixer, x = built(spec, (8, 8, 8)).eval(), torch.randn(3, 8, 8, 8)
    torch.testing.assert_close(mixer(x)[1:2], mixer(x[1:2]))


@every_mixer
def test_spatial_and_channel_parameters_are_its_own_and_disjoint(spec: type[TokenMixer]) -> None:
    mixer = built(spec, (8, 8, 8))
    spatial, channel = ({id(p) for p in part} for part in (mixer.spatial_parameters(), mixer.channel_parameters()))
    assert spatial.isdisjoint(channel)
    assert spatial | channel <= {id(p) for p in mixer.parameters()}


@every_mixer
def test_canonical_form_is_its_own_canonical_form(spec: type[TokenMixer]) -> None:
    canonical = spec().canonical()
    assert canonical.canonical() == canonical
    assert type(canonical) is spec


@every_mixer
def test_json_round_trip_gives_the_same_spec(spec: type[TokenMixer]) -> None:
    data = json.loads(json.dumps(encode(spec())))
    assert data == {"kind": spec.kind}
    assert decode(spec.__mro__[1], data, "mixer") == spec()


@every_mixer
def test_label_is_a_short_line(spec: type[TokenMixer]) -> None:
    assert 0 < len(spec().label()) < 60
    assert "\n" not in spec().label()


@every_mixer
def test_every_field_has_a_default_and_cannot_be_set_later(spec: type[TokenMixer]) -> None:
    assert spec.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(field.default is not dataclasses.MISSING for field in dataclasses.fields(spec))


@every_mixer
@every_shape
def test_it_builds_and_runs_on_the_meta_device(spec: type[TokenMixer], shape: Shape) -> None:
    with torch.device("meta"):
        mixer = spec().build(shape)
        assert mixer(torch.empty(1, *shape)).shape == (1, *shape)
    assert all(tensor.is_meta for tensor in (*mixer.parameters(), *mixer.buffers()))


@every_mixer
def test_the_same_seed_builds_the_same_weights(spec: type[TokenMixer]) -> None:
    one, other = (built(spec, (8, 8, 8)).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("spec", TOKEN_MIXERS.values(), ids=TOKEN_MIXERS.keys())
def test_a_token_mixer_mixes_positions(spec: type[TokenMixer]) -> None:
    mixer, x = built(spec, (8, 8, 8)).eval(), torch.randn(1, 8, 8, 8)
    moved = x.clone()
    moved[:, :, 3, 3] += 1
    changed = (mixer(moved) - mixer(x)).abs().amax((0, 1)) > 1e-6
    assert changed.sum() > 1


@pytest.mark.parametrize("spec", CHANNEL_MIXERS.values(), ids=CHANNEL_MIXERS.keys())
def test_a_channel_mixer_mixes_channels(spec: type[ChannelMixer]) -> None:
    mixer, x = built(spec, (8, 8, 8)).eval(), torch.randn(1, 8, 8, 8)
    moved = x.clone()
    moved[:, 3] += 1
    changed = (mixer(moved) - mixer(x)).abs().amax((0, 2, 3)) > 1e-6
    assert changed.sum() > 1
