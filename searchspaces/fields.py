"""Fields of operators as choices: what an operator can do is searched by naming it, as ``s1.raft.expansion``.

An operator needs nothing for that but its dataclass: the type of a field says which values it takes, the docstring
what they mean, and what cannot be built is found by pricing. A field that is a spec itself is reached through the
fields of its own kind; where it may be any mixer, through a choice of its name.
"""

import contextlib
import dataclasses
import inspect
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

from searchspaces.architecture import ChannelMixer, Shape, Spec, TokenMixer, Value
from searchspaces.costs import NoFormulaError
from searchspaces.space import Choice

ROLES = (TokenMixer, ChannelMixer)
"""Types of a field that may be any mixer."""

SWITCH = ("off", "on")
"""Options of a field that is a bool: to Optuna ``True`` and ``1`` are equal."""

TRIED: Shape = (8, 8, 8)
"""Shape by which an operator whose fields lack defaults is asked for examples of them."""

MOST_TRIED = 256
"""Combinations of its other fields with which a value is tried that the defaults refuse."""

Make = Callable[[str], Spec]
"""Returns the mixer of a name, for fields that may be any mixer."""


class FieldValues:
    """Container of what a field of an operator can be given: its type; the operator itself refuses the rest."""

    def __init__(self, hint: Any, kind: str, examples: tuple[Any, ...]) -> None:
        self.hint, self.kind, self.examples = hint, kind, examples

    def __contains__(self, value: object) -> bool:
        return type(value) is self.hint

    def __str__(self) -> str:
        shown = [str(value) for value in self.examples if value is not None]
        such = f", as {', '.join(shown)}" if shown else ""
        return f"what {self.kind} takes{such}"


def example(cls: type[Spec], shape: Shape = TRIED) -> Spec | None:
    """The operator with its defaults, and the first of ``options`` where a field has none; None if that is not known.

    Defaults that do not fit the shape, such as groups that do not divide the channels, give way to the nearest option
    that does.
    """
    options = cls.options(shape)
    given = {}
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING:
            values = options.get(field.name) or cls.options(TRIED).get(field.name)
            if not values:
                return None
            given[field.name] = values[0]
    return fitted(cls(**given), shape)


def fitted(spec: Spec, shape: Shape) -> Spec:
    """``spec``, or if it cannot take ``shape``, with the nearest values of ``options``, in the specs inside it too."""
    try:
        spec.cost(shape)
    except NoFormulaError:
        return spec
    except ValueError:
        inside = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
        near: dict[str, Any] = {name: fitted(own, shape) for name, own in inside.items() if isinstance(own, Spec)}
        for name, values in type(spec).options(shape).items():
            own = getattr(spec, name)
            if values and own not in values and type(own) in (int, float):
                near[name] = min((value for value in values if value is not None), key=lambda value: abs(value - own))
        return replace(spec, **near)
    return spec


def field_choices(cls: type[Spec]) -> tuple[Choice, ...]:
    """A choice for each field of an operator, called ``kind.field``; none for fields that are specs of one class.

    Raises:
        TypeError: if a field is of a type that no choice can have.
    """
    hints, helps = get_type_hints(cls), documented(cls)
    options, base = cls.options(TRIED), example(cls)
    found = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if inspect.isclass(hint) and issubclass(hint, Spec) and hint not in ROLES:
            continue
        default, unset = getattr(base, field.name), hint == (float | None)
        if unset:
            hint, default = float, next(value for value in options[field.name] if value is not None)
        about = helps.get(field.name) or f"{field.name.replace('_', ' ')} of {cls.kind}"
        values: Any = FieldValues(hint, cls.kind, options.get(field.name, ()))
        if hint in ROLES:
            values, default = hint.table, default.kind
        elif get_origin(hint) is Literal:
            values = get_args(hint)
        elif hint is bool:
            values, default = SWITCH, SWITCH[default]
        elif hint not in (int, float, str):
            raise TypeError(f"{cls.__name__}.{field.name} must be a number, a word, a bool or a spec, got {hint}.")
        check = partial(_check_field, base, field.name) if hint in (int, float) else Choice.check
        found.append(Choice(f"{cls.kind}.{field.name}", (default,), values, about, check=check, unset=unset))
    return tuple(found)


def _check_field(base: Any, name: str, value: Value) -> None:
    """Makes sure that an operator can have a value in a field, whatever the others are.

    Raises:
        ValueError: with the reason why its defaults cannot, if no combination of `Spec.options` can either.
    """
    options = {other: values for other, values in type(base).options(TRIED).items() if other != name}
    try:
        replace(base, **{name: value})
    except ValueError:
        for others in itertools.islice(itertools.product(*options.values()), MOST_TRIED):
            with contextlib.suppress(ValueError):
                replace(base, **{name: value}, **dict(zip(options, others, strict=True)))
                return
        raise


def with_fields(spec: Any, values: Mapping[str, Value], make: Make, outer: frozenset[str] = frozenset()) -> Any:
    """``spec`` with the fields that ``values`` names, ``kind.field``, in itself and in the specs inside it.

    Args:
        outer: kinds of the specs that it is inside of. One of those has the defaults, or nesting would never end.
    """
    if not values or spec.kind in outer:
        return spec
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(spec):
        current, value = getattr(spec, field.name), values.get(f"{spec.kind}.{field.name}")
        if isinstance(current, Spec):
            inner = current if value is None else make(str(value))
            changed[field.name] = with_fields(inner, values, make, outer | {spec.kind})
        elif value is not None:
            changed[field.name] = value == SWITCH[1] if isinstance(current, bool) else value
    return replace(spec, **changed) if changed else spec


def kinds(spec: Any) -> set[str]:
    """Kind of a spec and of the specs inside it."""
    inside = (getattr(spec, field.name) for field in dataclasses.fields(spec))
    return {spec.kind}.union(*(kinds(value) for value in inside if isinstance(value, Spec)))


ARGUMENT = re.compile(r"\s+((?:\w+, )*\w+): (.*)")


def documented(cls: type) -> dict[str, str]:
    """What the docstring of a class says of each of its arguments."""
    found: dict[str, str] = {}
    names: list[str] = []
    _, _, lines = (cls.__doc__ or "").partition("Args:\n")
    for line in lines.splitlines():
        if not line.strip():
            break
        if match := ARGUMENT.fullmatch(line):
            names = match[1].split(", ")
            found |= dict.fromkeys(names, match[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: " ".join(text.replace("``", "").split()).rstrip(".") for name, text in found.items()}
