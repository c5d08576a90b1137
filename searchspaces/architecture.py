"""An architecture is plain data: a tree of frozen dataclasses <-> canonical JSON <-> key.

Every node is a spec, the description of a module; ``build(shape)`` makes the ``nn.Module``. A spec is written as
``{"kind": NAME, field: value, ...}`` where fields at their default are left out, so that a field added later changes
no old key. Specs that build the same network have one canonical form (``canonical``), hence one key.

Rejected: options as free dicts (no types, defaults or checks), live modules as data (neither hashed nor compared).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import marshal
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from types import UnionType
from typing import Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from torch import nn

from searchspaces.costs import Cost, NoFormulaError, linear
from searchspaces.freezing import Freeze, Mixer
from searchspaces.registry import brief, check_one_of, lookup, register, unknown

Shape = tuple[int, int, int]
"""(C, H, W) of one sample."""

LARGEST, MOST_CLASSES, MOST_BLOCKS = 10**8, 10**6, 10_000
"""Bounds that no network comes near: any number, also of the values of one sample; classes; blocks."""

Weights = Literal["spatial", "channel"]
"""Kind of a mixer's parameters: those that mix positions, those that mix channels."""

Value = str | int | float
"""Type of a field of a spec, or of an option of a choice."""

TOKEN_MIXERS: dict[str, type[Spec]] = {}
CHANNEL_MIXERS: dict[str, type[Spec]] = {}
BLOCKS: dict[str, type[Spec]] = {}
STEMS: dict[str, type[Spec]] = {}
HEADS: dict[str, type[Spec]] = {}
DOWNSAMPLES: dict[str, type[Spec]] = {}


@dataclass(frozen=True)
class Spec:
    """One node of an architecture; subclasses are frozen dataclasses whose fields are its choices with defaults."""

    kind: ClassVar[str]
    table: ClassVar[dict[str, type[Spec]]]
    noun: ClassVar[str]

    def build(self, shape: Shape) -> nn.Module:
        """The module for inputs ``(B, *shape)``.

        Raises:
            ValueError: if the node cannot take this shape, with the values that it can take.
        """
        raise NotImplementedError(f"{type(self).__name__} must define build(shape).")

    def output(self, shape: Shape) -> Shape:
        """Output (C, H, W) for ``shape``; the same unless overridden."""
        return shape

    def cost(self, shape: Shape) -> Cost:
        """Cost of the module for inputs ``(1, *shape)``, in closed form.

        Raises:
            NoFormulaError: if the node has none; it is then counted on the meta device.
        """
        raise NoFormulaError(self.kind)

    @classmethod
    def options(cls, shape: Shape) -> dict[str, tuple[Any, ...]]:
        """Values of each field that tests try for inputs ``(B, *shape)``; fields not named keep their default."""
        return {}

    def canonical(self) -> Self:
        """The simplest spec that builds the same network."""
        return self

    def label(self) -> str:
        """A short text for tables: the kind and the fields that differ from their defaults."""
        written = [f"{k}={v}" for k, v in encode(self).items() if k != "kind"]
        return f"{self.kind}({', '.join(written)})" if written else self.kind


S = TypeVar("S", bound=Spec)


class TokenMixer(Spec):
    """Spec of a token (spatial) mixer, ``(B, C, H, W) -> (B, C, H, W)``, without outer residual."""

    table = TOKEN_MIXERS
    noun = "token mixer"

    def at(self, shape: Shape) -> Self:
        """The simplest spec that builds the same module for inputs of ``shape``."""
        return self.canonical()

    def weights(self) -> frozenset[Weights]:
        """Kinds of parameters that the module has; a pattern that freezes a kind it lacks freezes nothing."""
        return frozenset({"spatial"})

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        """As `Spec.cost`, with the parameters that ``freeze`` freezes not trained."""
        raise NoFormulaError(self.kind)

    def build(self, shape: Shape) -> Mixer:
        raise NotImplementedError(f"{type(self).__name__} must define build(shape).")


class ChannelMixer(Spec):
    """Spec of a channel mixer, ``(B, C, H, W) -> (B, C, H, W)``, without outer residual."""

    table = CHANNEL_MIXERS
    noun = "channel mixer"

    def weights(self) -> frozenset[Weights]:
        """Kinds of parameters that the module has; a pattern that freezes a kind it lacks freezes nothing."""
        return frozenset({"channel"})

    def cost(self, shape: Shape, freeze: Freeze = "full") -> Cost:
        """As `Spec.cost`, with the parameters that ``freeze`` freezes not trained."""
        raise NoFormulaError(self.kind)

    def build(self, shape: Shape) -> Mixer:
        raise NotImplementedError(f"{type(self).__name__} must define build(shape).")


class Block(Spec):
    """Spec of a block: mixers, norms, activations and residuals put together."""

    table = BLOCKS
    noun = "block"


class Stem(Spec):
    """Spec of a stem: pixels ``(B, C, H, W)`` to the grid of tokens of the first stage."""

    table = STEMS
    noun = "stem"


class Downsample(Spec):
    """Spec of the layers between two stages: ``(B, C, H, W)`` to fewer positions and more channels."""

    table = DOWNSAMPLES
    noun = "downsampling"


class Head(Spec):
    """Spec of a head: tokens ``(B, C, H, W)`` to features ``(B, F)``, ``output`` (F, 1, 1), and from them to logits.

    A dense head keeps the positions of the tokens, and makes values (C, H, W) of its features.
    """

    table = HEADS
    noun = "head"
    dense: ClassVar[bool] = False
    forecasts: ClassVar[bool] = False
    """Whether the values of a dense head are those of other positions than its tokens."""
    reversible: bool = False
    """Whether rows of the input are normalised, and those of the outputs brought back to their scale."""
    last: ClassVar[str] = "classifier"
    """Name of its last layer, for tables."""

    def readout(self, features: Shape, outputs: Any) -> nn.Module:
        """The last layer, from what ``build`` returns to the outputs of the network."""
        return nn.Linear(features[0], outputs)

    def readout_cost(self, features: Shape, outputs: Any) -> Cost:
        """Cost of the last layer."""
        return linear(features[0] * outputs, features[0] * outputs + outputs, features[0])


def spec(name: str) -> Callable[[type[S]], type[S]]:
    """Class decorator: registers a spec under ``name`` in the table of its role.

    Raises:
        ValueError: if the name is taken.

    Example: ``@spec("gated_shift")`` above ``@dataclass(frozen=True)``.
    """

    def add(cls: type[S]) -> type[S]:
        cls.kind = name
        register(cls.table, cls.noun, name)(cls)
        return cls

    return add


def check_shape(name: str, shape: Shape) -> None:
    """Makes sure that (C, H, W) can be that of a sample.

    Raises:
        ValueError: if a side is not positive, or there are more values than a sample can have.
    """
    if min(shape) < 1 or math.prod(shape) > LARGEST:
        raise ValueError(
            f"{name} must be (C, H, W), each at least 1 and at most {LARGEST:,} values in all, got {brief(shape)}."
        )


def answer(outputs: int | Shape) -> str:
    """What a network returns, in words: ``10 classes`` or ``3x32x32 values``."""
    return f"{outputs} classes" if isinstance(outputs, int) else f"{'x'.join(map(str, outputs))} values"


@dataclass(frozen=True)
class Stage:
    """``depth`` equal blocks in a row, after ``downsample`` unless it is None."""

    block: Block
    depth: int = 1
    downsample: Downsample | None = None

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth of a stage must be at least 1, got {self.depth}.")

    def label(self) -> str:
        """The stage in words: what leads to it, then its depth and block."""
        before = f"{self.downsample.label()} | " if self.downsample else ""
        return f"{before}{self.depth} x {self.block.label()}"


@dataclass(frozen=True)
class Architecture:
    """A whole network: stem, stages, head, for one input shape and one kind of output.

    Args:
        input: (C, H, W) of one image or spectrogram.
        outputs: number of classes, each with a logit; or (C, H, W) of the values that a dense head makes.
    """

    input: Shape
    outputs: int | Shape
    stem: Stem
    stages: tuple[Stage, ...]
    head: Head

    def __post_init__(self) -> None:
        check_shape("input", self.input)
        if not isinstance(self.outputs, int):
            check_shape("outputs", self.outputs)
        elif not 1 <= self.outputs <= MOST_CLASSES:
            raise ValueError(f"classes must be from 1 to {MOST_CLASSES:,}, got {self.outputs}.")
        if self.head.dense == isinstance(self.outputs, int):
            need = "a head that is not dense" if self.head.dense else "a dense head"
            raise ValueError(f"a network of {answer(self.outputs)} needs {need}, got {self.head.label()}.")
        if self.head.reversible and self.input[:2] != self.outputs[:2]:  # type: ignore[index]
            raise ValueError(
                f"a reversible head returns as many rows as it is given, got input {self.input} and outputs "
                f"{self.outputs}. Set reversible to false."
            )
        if (blocks := sum(stage.depth for stage in self.stages)) > MOST_BLOCKS:
            raise ValueError(f"an architecture has at most {MOST_BLOCKS:,} blocks, got {blocks:,}.")

    @property
    def classes(self) -> int:
        """Number of classes of a classifier.

        Raises:
            ValueError: if it is none.
        """
        if isinstance(self.outputs, int):
            return self.outputs
        raise ValueError(f"a network of {answer(self.outputs)} has no classes.")

    def canonical(self) -> Architecture:
        """The same network in its simplest form: canonical nodes, equal neighbouring stages merged."""
        return self._canonical_form

    @cached_property  # decoding, pricing, encoding and building all ask for it
    def _canonical_form(self) -> Architecture:
        stages: list[Stage] = []
        for stage in self.stages:
            block = _canonical(stage.block)
            if stages and stages[-1].block == block and stage.downsample is None:
                stages[-1] = replace(stages[-1], depth=stages[-1].depth + stage.depth)
            else:
                stages.append(Stage(block, stage.depth, stage.downsample and _canonical(stage.downsample)))
        stem, head = _canonical(self.stem), _canonical(self.head)
        form = Architecture(self.input, self.outputs, stem, tuple(stages), head)
        vars(form)["_canonical_form"] = form
        return form

    def label(self) -> str:
        """The network in one line: stem, then the stages with their depths."""
        return " | ".join([self.stem.label(), *(stage.label() for stage in self.stages)])

    def to_json(self) -> dict[str, Any]:
        """Canonical JSON object; `from_json` returns an architecture with the same key."""
        encoded: dict[str, Any] = encode(self.canonical())
        named = "classes" if isinstance(self.outputs, int) else "outputs"
        return {named if name == "outputs" else name: value for name, value in encoded.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        """Architecture written by `to_json`.

        Raises:
            ValueError: naming the field that is unknown, missing, of the wrong type or beyond all bounds.
        """
        form = _OfValues if isinstance(data, Mapping) and "outputs" in data else _OfClasses
        try:
            read: _OfValues | _OfClasses = decode(form, data, "architecture")
        except RecursionError:
            raise ValueError("architecture has more nodes in each other than any network.") from None
        outputs = read.outputs if isinstance(read, _OfValues) else read.classes
        return cls(read.input, outputs, read.stem, read.stages, read.head)

    @property
    def key(self) -> str:
        """Stable name of the network, 16 hexadecimal digits: equal networks have equal keys, in every process.

        That of `to_json`, whose parts are written once for all networks that share them.
        """
        form = self.canonical()
        written = {name: _text(getattr(form, name)) for name in ("input", "stem", "head")}
        written["stages"] = f"[{','.join(map(_text, form.stages))}]"
        written["classes" if isinstance(form.outputs, int) else "outputs"] = _text(form.outputs)
        return _digest("{" + ",".join(f'"{name}":{text}' for name, text in sorted(written.items())) + "}")


@dataclass(frozen=True)
class _OfClasses:
    """How an architecture is written that has classes."""

    input: Shape
    classes: int
    stem: Stem
    stages: tuple[Stage, ...]
    head: Head


@dataclass(frozen=True)
class _OfValues:
    """How an architecture is written that has other outputs."""

    input: Shape
    outputs: Shape
    stem: Stem
    stages: tuple[Stage, ...]
    head: Head


def key_of(document: Mapping[str, Any]) -> str:
    """The key of an architecture written by `Architecture.to_json`."""
    return _digest(_dumped(document))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _dumped(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=100_000)  # candidates of a search share most of their nodes
def _text(value: Any) -> str:
    return _dumped(encode(value))


def label_of(document: Mapping[str, Any]) -> str:
    """The label of an architecture written by `Architecture.to_json`; where a node's class is not known, its JSON.

    A part at a time: networks of a space share them.
    """
    try:
        parts = [("stem", document["stem"]), *(("stage", stage) for stage in document["stages"])]
        # marshal makes the fastest key of a dict: json takes five times as long.
        return " | ".join([_part_label(name, marshal.dumps(part, 2)) for name, part in parts])
    except (ValueError, TypeError, KeyError, RecursionError, MemoryError):
        return json.dumps({name: document[name] for name in ("stem", "stages") if name in document})


@lru_cache(maxsize=100_000)
def _part_label(name: str, part: bytes) -> str:
    node: Stem | Stage = decode(Stem if name == "stem" else Stage, marshal.loads(part), f"architecture.{name}")
    return node.label()


@lru_cache(maxsize=100_000)  # candidates of a search share most of their nodes
def _canonical(node: S) -> S:
    return node.canonical()


def encode(value: Any) -> Any:
    """JSON form of a node: its kind and the fields that differ from their defaults."""
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):  # isinstance with a union takes four times as long
        return value
    fields: dict[str, Any] = {"kind": value.kind} if isinstance(value, Spec) else {}
    for name, default, real in _defaults(value.__class__):
        if (current := getattr(value, name)) != default:
            # As it is read back: equal specs have equal keys, whether 2 or 2.0 was written.
            fields[name] = float(current) if real and current is not None else encode(current)
    return fields


@cache  # dataclasses.fields takes as long as the rest of an encoding
def _defaults(cls: Any) -> tuple[tuple[str, Any, bool], ...]:
    hints, known = _hints(cls)
    return tuple((name, field.default, hints[name] in (float, float | None)) for name, field in known.items())


def decode(hint: Any, data: Any, where: str) -> Any:
    """Value of type ``hint`` from JSON; ``where`` names the place in messages."""
    if get_origin(hint) in (Union, UnionType):
        inner = [h for h in get_args(hint) if h is not type(None)]
        return None if data is None else decode(inner[0], data, where)
    if dataclasses.is_dataclass(hint):
        if not isinstance(data, Mapping):
            raise ValueError(f"{where} must be an object, got {brief(data)}.")
        fields, cls = dict(data), hint
        if isinstance(hint, type) and issubclass(hint, Spec):
            if "kind" not in fields:
                raise ValueError(f"{where} must name its kind. Known: {', '.join(sorted(hint.table))}.")
            cls = lookup(hint.table, hint.noun, fields.pop("kind"))
        return _decode_fields(cls, fields, where)
    if get_origin(hint) is tuple:
        items = get_args(hint)
        if not isinstance(data, list | tuple) or (items[-1] is not ... and len(data) != len(items)):
            raise ValueError(
                f"{where} must be a list{'' if items[-1] is ... else f' of {len(items)}'}, got {brief(data)}."
            )
        hints = [items[0]] * len(data) if items[-1] is ... else items
        return tuple(decode(h, item, f"{where}[{i}]") for i, (h, item) in enumerate(zip(hints, data, strict=True)))
    if get_origin(hint) is Literal:
        check_one_of(where, data, get_args(hint))
        return data
    if type(data) is not hint and not (hint is float and type(data) is int):
        raise ValueError(f"{where} must be of type {hint.__name__}, got {brief(data)}.")
    if hint in (int, float) and not -LARGEST <= data <= LARGEST:  # NaN neither
        raise ValueError(f"{where} must be a number of at most {LARGEST:,}, got {brief(data)}.")
    return float(data) if hint is float else data


@cache  # get_type_hints takes as long as ten decodings
def _hints(cls: Any) -> tuple[dict[str, Any], dict[str, dataclasses.Field[Any]]]:
    return get_type_hints(cls), {f.name: f for f in dataclasses.fields(cls)}


def _decode_fields(cls: Any, fields: dict[str, Any], where: str) -> Any:
    hints, known = _hints(cls)
    for name in fields:
        if name not in known:
            raise ValueError(f"{where}: {unknown('field', name, known)}")
    missing = [n for n, f in known.items() if n not in fields and f.default is dataclasses.MISSING]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}.")
    return cls(**{name: decode(hints[name], value, f"{where}.{name}") for name, value in fields.items()})
