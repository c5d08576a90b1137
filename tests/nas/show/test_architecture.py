"""Figures of one architecture."""

from dataclasses import replace

from nas.show.architecture import MOST_TRACED, cost_figures, cost_table
from searchspaces import Architecture
from searchspaces.known import KNOWN


def deep(blocks: int) -> Architecture:
    plain = KNOWN["convmixer_256_8"]()
    return replace(plain, stages=(replace(plain.stages[0], depth=blocks),))


def test_a_network_too_deep_to_trace_is_priced_and_its_memory_said_to_be_missing() -> None:
    figures = cost_figures(deep(10_000))
    assert figures["macs"] > 10_000 * 1e6
    assert figures["activation_bytes"] is figures["training_memory_bytes"] is None
    assert f"not traced: more than {MOST_TRACED} blocks" in str(cost_table("deep", figures).caption)


def test_memory_of_training_is_traced() -> None:
    figures = cost_figures(deep(2))
    assert figures["training_memory_bytes"] > figures["activation_bytes"] > 0
    assert "activations" in str(cost_table("two", figures).caption)
