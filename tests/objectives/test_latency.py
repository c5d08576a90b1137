"""Latency and throughput: how times become values, and that measuring leaves the process as it was."""

import os

import pytest
import torch

from nas.testing.objectives import candidate
from objectives import Candidate
from objectives.latency import NOISY, ROUNDS, STRETCHES, LatencyMs, Throughput, Times

STEADY = [2.0] * 5 * ROUNDS


def test_a_machine_that_slows_both_networks_changes_nothing() -> None:
    slow = [(1.0, 1.5, 3.0)[i // 17 % 3] for i in range(len(STEADY))]
    times = Times([2 * s for s in slow], slow, reference_ms=0.5)
    assert times.milliseconds == 1.0
    assert times.error == 0
    assert times.agrees


def test_stretches_that_disagree_are_noisy_and_say_so() -> None:
    drifting = [2.0 + 0.1 * (i // ROUNDS) for i in range(len(STEADY))]
    times = Times(drifting, [1.0] * len(STEADY), reference_ms=1.0)
    assert times.milliseconds == pytest.approx(2.2)
    assert not times.agrees
    assert LatencyMs().estimate(2.2, times).flags == (NOISY,)


def test_on_a_gpu_the_time_is_the_networks_own() -> None:
    assert Times(STEADY, [1.0, 3.0] * (len(STEADY) // 2), reference_ms=None).milliseconds == 2.0


def test_one_stretch_alone_promises_nothing() -> None:
    assert not Times([1.0] * ROUNDS, [1.0] * ROUNDS, reference_ms=1.0).agrees


def test_the_value_is_in_proportion_to_the_reference_that_is_given() -> None:
    one, fixed = candidate(LatencyMs), LatencyMs(reference_ms=2.0, seconds=0.2)
    times = fixed.times(one)
    assert fixed.measure(one) == pytest.approx(2.0 * sorted(times.stretches)[len(times.stretches) // 2], rel=0.5)
    assert fixed.settings(one)["reference_ms"] == 2.0


def test_throughput_is_the_images_of_a_batch_over_their_time() -> None:
    one = candidate(Throughput)
    throughput, latency = Throughput(batch=8, seconds=0.2), LatencyMs(batch=8, seconds=0.2)
    assert float(throughput.measure(one)) == pytest.approx(8000 / latency.measure(one))  # of the same times


def test_settings_say_on_what_and_how_often_it_was_measured() -> None:
    one = candidate(LatencyMs)
    latency = LatencyMs(seconds=0.2)
    settings, value = latency.settings(one), latency.measure(one)
    assert settings["batch"] == settings["threads"] == 1
    assert settings["device"]
    assert settings["minimum_ms"] <= settings["p20_ms"]
    assert ROUNDS <= settings["rounds"] <= STRETCHES[1] * ROUNDS
    assert value.kind == "runs"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinity")
def test_threads_and_affinity_come_back_when_the_network_fails() -> None:
    class Failing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError(f"on {len(os.sched_getaffinity(0))} processor")

    before = os.sched_getaffinity(0), torch.get_num_threads()
    with pytest.raises(RuntimeError, match="on 1 processor"):
        LatencyMs().measure(Candidate(Failing(), (1, 8, 8)))
    assert (os.sched_getaffinity(0), torch.get_num_threads()) == before


@pytest.mark.parametrize(("settings", "message"), [({"batch": 0}, "batch must be"), ({"reference_ms": 0.0}, "above 0")])
def test_settings_that_cannot_be_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatencyMs(**settings)  # type: ignore[arg-type]
