"""Odd values and damaged files, drawn by hypothesis; used by the tests of the fuzz tier."""

import contextlib
import copy
import math
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import nn

from nas.errors import StoppedError, WrongInputError
from trainers import Trainer
from trainers.splits import TrainingData
from trainers.trainer import Epoch

SECONDS = 20
"""Within which every input has its answer."""

STUDY: dict[str, Any] = {
    "name": "fuzz",
    "seed": 3,
    "trials": 8,
    "objectives": ["accuracy", "macs"],
    "bounds": {"macs": 12_000.0},
    "space": {"kind": "convmixer", "choices": {"dim": [8, 16], "depth": [1, 2], "patch": [2], "kernel": [3]}},
    "data": {"name": "digits", "limit": 100, "validation": 0.2},
    "training": {"kind": "untrained"},
    "reference": {"accuracy": 0.0},
    "search": {"sampler": "nsga2", "options": {"population_size": 4}},
    "execution": {"workers": 1, "timeout_seconds": 60.0, "device": "cpu"},
    "limits": {"patience": 50, "artifacts_gb": 1.0},
    "export": {"pick": "knee", "formats": []},
}


@dataclass(frozen=True)
class Untrained(Trainer):
    """Leaves the network as it was built."""

    epochs: int = 1

    def train(
        self,
        model: nn.Module,
        data: TrainingData,
        *,
        seed: int,
        report: Callable[[Epoch], None],
        checkpoints: Any = None,
    ) -> None:
        report(Epoch(1, 1, 1.0, 0.0))


ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 7, 1000, -0.0, 0.5, 1.5, -1e-9, 2**31, 2**32, 2**63, 2**64, 10**16, 10**400),
    *(
        1e15,
        1e38,
        1e308,
        math.inf,
        -math.inf,
        math.nan,
        "",
        " ",
        "x",
        "a\0b",
        "\x1b[31m",
        "\n",
        "é",
        "\ud800",
        "~",
        "..",
    ),
    *("..", "../x", "a/b", "1", "1e400", "x" * 300, "x" * 5000, "knee", "best:accuracy", "trial:" + "9" * 5000, "macs"),
    *([], [[]], [1], ["x"], [None], [[[[[[1]]]]]], {}, {"x": 1}, {"a": {"b": [1]}}, {"kind": "identity"}, {"kind": []}),
]
"""Values of every kind, most of them wrong wherever they stand."""


def tries(share: float) -> Callable[[Any], Any]:
    """Decorator that tries a test on its share of the `NAS_FUZZ` inputs (default 1,000), the same ones every time."""
    return settings(
        max_examples=max(1, round(share * int(os.environ.get("NAS_FUZZ", "1000")))),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class Hang(BaseException):
    """No answer in time."""


@contextlib.contextmanager
def answered(*allowed: type[Exception]) -> Iterator[None]:
    """Lets what is inside be refused by one message, in time: any other exception is a fault."""

    def ring(number: int, frame: object) -> None:
        raise Hang(f"no answer within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    except (WrongInputError, StoppedError, *allowed) as error:
        message = str(error)
    else:
        message = "accepted"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert 0 < len(message.strip()) < 20_000, f"a message of {len(message)} characters: {message[:200]}"


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a JSON document but itself."""
    if path:
        yield path
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inner:
        yield from places(value, (*path, key))


def numbers(document: Any) -> Iterator[float]:
    """All numbers in a document."""
    if isinstance(document, dict | list | tuple):
        for value in document.values() if isinstance(document, dict) else document:
            yield from numbers(value)
    elif isinstance(document, int | float):
        yield document


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """A copy of a JSON document with one to three values changed, dropped, renamed, moved or repeated."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        all_places = list(places(changed))
        if not all_places:
            break
        *parents, last = draw(st.sampled_from(all_places))
        holder = changed
        for key in parents:
            holder = holder[key]
        how = draw(st.sampled_from(("odd", "odd", "odd", "odd", "near", "drop", "rename", "move", "repeat")))
        value = holder[last]
        if how == "near" and type(value) in (int, float):
            factor, shift = draw(st.sampled_from((1, -1, 2, 1000, 10**6))), draw(st.sampled_from((-1, 0, 1)))
            holder[last] = value * factor + shift
        elif how == "drop":
            del holder[last]
        elif how == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from((f"{last}x", f"{last}"[:-1], "", "a.b", "\0", "x" * 5000)))] = holder.pop(last)
        elif how == "move":
            place = changed
            path = draw(st.sampled_from(all_places))
            for key in path:
                place = place[key]
            holder[last] = copy.deepcopy(place)
        elif how == "repeat" and isinstance(holder, list):
            holder.insert(last, copy.deepcopy(value))
        else:
            holder[last] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return changed


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file cut short, with bytes flipped, zeroed, put in, taken out, repeated, or something else entirely."""
    length = len(content)
    start = draw(st.one_of(st.integers(0, min(length, 200)), st.integers(0, length)))
    size = draw(st.sampled_from((1, 2, 4, 8, 64, 1000)))
    how = draw(st.sampled_from(("cut", "flip", "zero", "ones", "insert", "remove", "repeat", "swap", "other")))
    head, part, tail = content[:start], content[start : start + size], content[start + size :]
    if how == "cut":
        return head
    if how == "flip":
        bit = 1 << draw(st.integers(0, 7))
        return head + bytes(byte ^ bit for byte in part) + tail
    if how in ("zero", "ones"):
        return head + (b"\0" if how == "zero" else b"\xff") * len(part) + tail
    if how == "insert":
        return head + draw(st.binary(min_size=1, max_size=8)) + part + tail
    if how == "other":
        return draw(
            st.sampled_from((b"", b"\0", b"\n", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, content * 2))
        )
    return {"remove": head + tail, "repeat": head + 2 * part + tail, "swap": tail + part + head}[how]


@st.composite
def mutated_lines(draw: st.DrawFn, lines: list[Any]) -> list[Any]:
    """JSON lines with one changed, dropped, repeated, or moved."""
    changed, at = list(lines), draw(st.integers(0, len(lines) - 1))
    how = draw(st.sampled_from(("change", "change", "change", "drop", "repeat", "move", "odd")))
    if how == "change":
        changed[at] = draw(mutated(changed[at]))
    elif how == "odd":
        changed[at] = draw(st.sampled_from(ODD))
    else:
        line = changed.pop(at) if how != "repeat" else changed[at]
        if how != "drop":
            changed.insert(draw(st.integers(0, len(changed))), line)
    return changed
