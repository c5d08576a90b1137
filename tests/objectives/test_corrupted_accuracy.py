"""Corruptions grow with their severity, and their accuracy is a mean over them."""

from typing import Any

import pytest
import torch

from nas.testing.objectives import candidate
from objectives.accuracy import Accuracy
from objectives.corrupted_accuracy import CORRUPTIONS, CorruptedAccuracy, corrupt


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_corruption_changes_images_more_the_more_severe_it_is(name: str, channels: int) -> None:
    places = torch.arange(32) / 32
    waves = [torch.sin(k * places[:, None] + 2 * k * places).add(1).div(2) for k in range(1, 9)]
    images = torch.stack(waves)[:, None].repeat(1, channels, 1, 1)
    changes = [float((corrupt(images, name, severity) - images).abs().mean()) for severity in range(1, 6)]
    assert changes == sorted(changes)
    assert changes[0] > 0
    for severity in range(1, 6):
        changed = corrupt(images, name, severity)
        assert (changed.shape, changed.min() >= 0, changed.max() <= 1) == (images.shape, True, True)


def test_blur_keeps_a_plain_image_and_spreads_a_point() -> None:
    plain = torch.full((1, 1, 9, 9), 0.3)
    torch.testing.assert_close(corrupt(plain, "blur", 5), plain)
    point = torch.zeros(1, 1, 9, 9)
    point[0, 0, 4, 4] = 1
    blurred = corrupt(point, "blur", 5)[0, 0]
    assert float(blurred.sum()) == pytest.approx(1)
    assert blurred[4, 4] > blurred[4, 5] > blurred[5, 5] > 0


def test_the_mean_over_severities_lies_between_the_mildest_and_the_hardest() -> None:
    one = candidate(Accuracy, number=300)
    values = [CorruptedAccuracy(severity=severity).measure(one) for severity in range(1, 6)]
    assert CorruptedAccuracy().measure(one) == pytest.approx(sum(values) / 5)
    assert values[0] > values[-1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corruptions": ["fog"]}, "unknown corruption 'fog'. Known: blur, brightness"),
        ({"corruptions": []}, "must be one or more different names"),
        ({"corruptions": ["blur", "blur"]}, "must be one or more different names"),
        ({"severity": 6}, "severity must be from 1 to 5, got 6"),
        ({"samples": 0}, "samples must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CorruptedAccuracy(**settings)
