"""SpaRTAN's space (2507.10999)."""

import json
import random

import pytest

from searchspaces import Architecture, Shape, Value
from searchspaces.heads import AverageHead
from searchspaces.known.spartan import spartan_t
from searchspaces.spaces.spartan import spartan as space_of

SPACE = space_of((3, 32, 32), 10)


def draws(number: int, seed: int = 0) -> list[dict[str, Value]]:
    generator = random.Random(seed)
    return [SPACE.draw(generator) for _ in range(number)]


def released(input: Shape, **changes: Value) -> Architecture:
    """SpaRTAN-T as picks of the space."""
    picks: dict[str, Value] = {"stem_stride": 4, "stages": 4, "hybrid": 2, "layer_scale": 1e-5}
    picks |= {"branches": "hl", "kernel": 3, "dilation": 2, "l_stack": 2, "fd": "on", "se": 4}
    picks |= {"channel": "wave", "phase": "gelu", "fmax": "on", "wc": "normal", "s1.conv": "depthwise"}
    picks |= {"s2.conv": "depthwise", "s3.conv": "grouped", "s4.conv": "grouped"}
    for stage, (width, depth, expansion) in enumerate(((32, 3, 4), (64, 3, 4), (128, 12, 2), (256, 2, 2)), start=1):
        picks |= {f"s{stage}.width": width, f"s{stage}.depth": depth, f"s{stage}.expansion": expansion}
    space = space_of(input, 1000).narrow({**picks, **changes})
    assert space.size == 1
    return space.decode(next(space.assignments()))


def test_the_released_network_is_in_the_space() -> None:
    assert released((3, 256, 256)).key == spartan_t().key


def test_picks_that_are_not_used_make_no_difference() -> None:
    for picks in draws(200):
        architecture = SPACE.decode(picks)
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))).key == architecture.key
        unused: dict[str, Value] = {}
        for s in range(1, 5):
            group = {c.name: c.options[0] for c in SPACE.choices if c.name.startswith(f"s{s}.")}
            if s > len(architecture.stages):
                unused |= group
            if picks[f"s{s}.channel"] != "wave":
                unused |= {f"s{s}.{name}": group[f"s{s}.{name}"] for name in ("phase", "fmax", "wc", "conv")}
            if picks[f"s{s}.branches"] == "h":
                unused |= {f"s{s}.{name}": group[f"s{s}.{name}"] for name in ("dilation", "l_stack")}
        assert SPACE.decode({**picks, **unused}).key == architecture.key


def test_full_convolutions_stand_before_depthwise_ones() -> None:
    for picks in draws(50):
        tokens = [stage.block.token for stage in SPACE.decode(picks).stages]  # type: ignore[attr-defined]
        full = [token.conv == "full" for token in tokens]
        assert full == sorted(full, reverse=True)
        assert sum(full) == min(int(picks["hybrid"]), len(full))


@pytest.mark.parametrize(
    ("input", "strides", "stages"),
    [((3, 256, 256), (1, 2, 4), 4), ((3, 32, 32), (1, 2, 4), 3), ((1, 8, 12), (1, 2), 2), ((1, 5, 5), (1,), 2)],
)
def test_small_images_get_strides_and_stages_that_fit(input: Shape, strides: tuple[int, ...], stages: int) -> None:
    space = space_of(input, 10)
    choices = {choice.name: choice for choice in space.choices}
    assert choices["stem_stride"].options == strides
    picks = {choice.name: choice.options[-1] for choice in space.choices}
    assert len(space.decode(picks).stages) == stages


def test_the_published_start_of_layer_scales_is_allowed_but_not_the_default() -> None:
    (choice,) = (choice for choice in SPACE.choices if choice.name == "layer_scale")
    assert choice.options == (1e-2, 1.0)
    assert choice.narrow([1e-5]).options == (1e-5,)
    with pytest.raises(ValueError, match=r"'layer_scale' cannot be -1\.0 .*Allowed: 0\.0 \(no factors\) to 10\.0"):
        choice.narrow([-1.0])


def test_drop_path_and_the_start_of_the_classifier_are_searched_if_a_study_names_them() -> None:
    of = space_of((1, 28, 28), 10).narrow({"stages": 2, "drop_path": [0.2], "classifier_start": 0.02})
    found = of.decode(of.first)
    assert found.head == AverageHead(start=0.02)
    assert [getattr(stage.block, "drop_path", None) for stage in found.stages] == [0.0, 0.1]


def test_norms_stay_as_they_start_if_a_study_says_so() -> None:
    of = space_of((1, 28, 28), 10).narrow({"freeze_norm": ["off", "on"], "norm": "batch"})
    blocks = [of.decode({**of.first, "freeze_norm": option}).stages[0].block for option in ("off", "on")]
    assert [getattr(block, "freeze_norm", None) for block in blocks] == [False, True]
