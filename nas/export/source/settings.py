"""What an instance holds besides tensors and modules, as expressions."""

import dataclasses
from typing import Any

import torch

from nas.errors import WrongInputError
from nas.export.source.expressions import Argument, Call, Items, Raw, Tree, leaf
from nas.export.source.reach import Reach
from nas.export.source.static import is_literal


def setting(value: Any, name: str, place: str, reach: Reach) -> Tree:
    """A setting as an expression.

    Raises:
        WrongInputError: if it cannot be written as one.
    """
    if is_literal(value):
        return leaf(tuple(value) if isinstance(value, tuple) else value, name)
    if isinstance(value, torch.Size):
        return leaf(tuple(value), name)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        items = tuple(setting(item, name, place, reach) for item in value)
        return Items(items, "[]" if isinstance(value, list) else "()")
    if isinstance(value, dict) and is_literal(tuple(value)):
        pairs = (Items((leaf(key), setting(item, name, place, reach)), "()") for key, item in value.items())
        return Call("dict", (Argument(Items(tuple(pairs))),))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        cls = type(value)
        fields = [f for f in dataclasses.fields(value) if f.init]
        arguments = (Argument(setting(getattr(value, f.name), f.name, place, reach)) for f in fields)
        return Call(reach.name_of(cls.__module__, cls.__qualname__), tuple(arguments))
    if (found := _global(value, reach)) is not None:
        return Raw(found)
    raise WrongInputError(
        f"model.py cannot be written: {place}.{name} of type {type(value).__name__} is no number, text, tuple, list "
        "or dataclass. Keep such a setting in the operator, or export it in another format."
    )


def _global(value: Any, reach: Reach) -> str | None:
    """A function or class by its name."""
    name, module = getattr(value, "__name__", ""), getattr(value, "__module__", None) or ""
    if getattr(torch.nn.functional, name, None) is value:
        return f"{reach.library('torch.nn.functional', '', 'F')}.{name}"
    if getattr(torch, name, None) is value:
        return f"torch.{name}"
    qualified = getattr(value, "__qualname__", "")
    if callable(value) and name == qualified and module.partition(".")[0] in reach.packages:
        return reach.name_of(module, name)
    return None
