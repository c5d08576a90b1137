"""Time and memory part by part: the parts that are priced, bytes that a person can count, one message for a mistake."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from terminal import run
from torch import nn

import nas
from nas.export.profile import _traced, profile
from nas.pricing import price
from nas.show.profile import WIDTH, bar
from searchspaces import SEARCH_SPACES, Architecture, build


@pytest.fixture(scope="module")
def staged() -> Architecture:
    """A network of two stages of two blocks each, with a downsample between them."""
    space = SEARCH_SPACES["mixing"]((1, 16, 16), 3)
    return space.decode({**space.first, "layout": "pyramid", "depth": 4})


@pytest.fixture(scope="module")
def profiled(staged: Architecture) -> dict[str, Any]:
    return profile(staged, build(staged), batch=2, seconds=0.1)


def test_the_parts_are_those_that_are_priced(staged: Architecture, profiled: dict[str, Any]) -> None:
    priced = price(staged)
    assert [part["name"] for part in profiled["parts"]] == [part.name for part in priced.parts]
    assert ("downsample 2", 1) in {(part["name"], part["repeat"]) for part in profiled["parts"]}
    assert ("stage 2", 2) in {(part["name"], part["repeat"]) for part in profiled["parts"]}
    assert sum(part["macs"] for part in profiled["parts"]) == priced.total.macs
    assert sum(part["parameters"] for part in profiled["parts"]) == priced.total.parameters


def test_parts_and_overhead_are_the_time_of_the_whole(profiled: dict[str, Any]) -> None:
    whole = profiled["milliseconds"]
    assert sum(part["milliseconds"] for part in profiled["parts"]) + profiled["overhead_ms"] == pytest.approx(whole)
    for part in profiled["parts"]:
        assert part["share"] == pytest.approx(part["milliseconds"] / whole)
        assert part["images_per_second"] == pytest.approx(2000 / part["milliseconds"])
    slowest = max(profiled["parts"], key=lambda part: float(part["milliseconds"]))
    assert profiled["slowest"] == slowest["name"]


def test_the_output_of_a_part_is_that_of_its_shape_and_the_peak_holds_it(profiled: dict[str, Any]) -> None:
    for part in profiled["parts"][:-2]:  # the head and the classifier return vectors
        channels, height, width = part["output"]
        assert part["output_bytes"] == 2 * 4 * channels * height * width
        assert part["peak_bytes"] >= part["output_bytes"]


def test_the_peak_is_what_is_alive_together() -> None:
    class Doubled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            wide = torch.cat([x, x])  # input and twice as much: 3
            small = wide.sum()  # and a number
            del wide
            return x + small

    x = torch.zeros(100)
    output, peak = _traced(Doubled(), x)
    assert output.shape == x.shape
    assert peak == 3 * 400 + 4


def test_weights_do_not_count_and_the_network_is_left_as_it_was(staged: Architecture) -> None:
    layer = nn.Linear(10, 10)
    _, peak = _traced(layer, torch.zeros(1, 10))
    assert peak == 2 * 40
    network = build(staged).train()
    profile(staged, network, seconds=0.01)
    assert network.training


def test_a_trial_is_profiled_in_a_table_of_80_characters_and_a_picture(searched: Path, tmp_path: Path) -> None:
    result = run("profile", f"{searched}#0", "--plot", tmp_path / "parts.svg", COLUMNS="80")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    table = lines[lines.index("") + 1 : lines.index("", lines.index("") + 1)]
    assert "(untrained)" in lines[0]
    assert max(map(len, table)) <= 80
    assert [line.split()[0] for line in table if line.startswith(("stem", "stage", "overhead"))][-1] == "overhead"
    assert any("█" * WIDTH in line for line in table)
    assert "stage 1" in (tmp_path / "parts.svg").read_text()


def test_an_export_is_profiled_with_its_weights(searched: Path, tmp_path: Path) -> None:
    out = nas.open(searched).export("trial:0", tmp_path / "out")
    found = json.loads(run("profile", out, "--batch", 3, "--json").stdout)
    assert found["trained"]
    assert found["batch"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is no file. Give an architecture file, known:NAME or DIR#TRIAL."),
        (["known:convmixr_256_8"], "convmixer_256_8"),
        (["known:convmixer_256_8", "--batch", "100000000"], "--batch"),
        (["known:convmixer_256_8", "--batch", "100000"], "Take a smaller --batch."),
        (["STUDY#0", "--plot", "parts.xyz"], "--plot parts.xyz"),
    ],
)
def test_wrong_input_is_one_message(searched: Path, arguments: list[str], message: str) -> None:
    result = run("profile", *(word.replace("STUDY", str(searched)) for word in arguments))
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(1) == "█" * WIDTH
    assert bar(0.5) == "█" * (WIDTH // 2)
    assert bar(0) == ""
    assert bar(1 / (8 * WIDTH)) == "▏"
