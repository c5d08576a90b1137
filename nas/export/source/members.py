"""The methods of an instance that its forward pass reaches, each written for that instance."""

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from torch import nn

from nas.errors import WrongInputError
from nas.export.source.edits import Source
from nas.export.source.folding import Folding
from nas.export.source.layers import base_of, is_torch
from nas.export.source.parsed import parsed
from nas.export.source.reach import Reach
from nas.export.source.static import is_literal

NOT_RUN = {
    *("__init__", "__repr__", "extra_repr", "_get_name", "train", "eval", "reset_parameters", "state_dict"),
    *("load_state_dict", "get_extra_state", "set_extra_state", "__getstate__", "__setstate__", "__deepcopy__"),
    *("_load_from_state_dict", "_save_to_state_dict", "_apply", "requires_grad_"),
}
"""Methods of a module that its forward pass never calls."""


@dataclass
class Members:
    """What is written of one instance.

    Args:
        texts: name of a method -> its text.
        reads: names of attributes of ``self`` that these read.
        flat: attributes that the instance gets for settings of objects that it holds.
    """

    instance: nn.Module
    texts: dict[str, str] = field(default_factory=dict)
    reads: set[str] = field(default_factory=set)
    flat: dict[str, Any] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    """Name of a method -> the Python module that defines it."""


def is_own(module: nn.Module) -> bool:
    """Whether a module needs a class in the file: torch has none that runs the same."""
    cls: Any = type(module)
    return not is_torch(cls) and (base_of(cls) is nn.Module or bool(_overridden(cls)))


@lru_cache(maxsize=1024)
def _overridden(cls: Any) -> tuple[str, ...]:
    base = base_of(cls)
    own = [name for one in cls.__mro__ if not is_torch(one) and one is not object for name in one.__dict__]
    functions = (name for name in own if callable(inspect.getattr_static(cls, name)) and hasattr(base, name))
    return tuple(dict.fromkeys(name for name in functions if name not in NOT_RUN and name != "__class__"))


def overridden(cls: Any) -> Iterator[str]:
    """Methods of torch's that a class defines anew and that a forward pass may run."""
    yield from _overridden(cls)


def definer(cls: type, name: str, after: type | None = None) -> type | None:
    """The class that defines ``name`` for instances of ``cls``, unless it is one of torch's."""
    mro = cls.__mro__[cls.__mro__.index(after) + 1 :] if after else cls.__mro__
    found = next((one for one in mro if name in one.__dict__), None)
    return None if found is None or is_torch(found) or found is object else found


def is_method(cls: type, name: str) -> bool:
    """Whether instances of ``cls`` have a method or property of that name, and not of torch's."""
    home = definer(cls, name)
    return home is not None and isinstance(home.__dict__[name], property | staticmethod | classmethod | type(is_method))


def add_member(members: Members, name: str, reach: Reach) -> None:
    """Adds a method or property of an instance, and those of ``self`` that it reaches."""
    if name in members.texts:
        return
    cls = type(members.instance)
    home, found = _home(cls, name)
    text = _definition(home, found)
    folding = Folding(text, members.instance, _constants(home.__module__))
    _check_super(folding, members, home, name)
    members.flat |= folding.flat
    members.modules[name] = home.__module__
    made = reach.tidied(folding.text())
    made = made.replace(f"def {found}(", f"def {name}(", 1) if found != name else made
    members.texts[name] = ""  # before what it reaches, which may be itself
    members.texts[name] = reach.resolved(made, home.__module__)
    for attribute in _read_of_self(members.texts[name]):
        if _is_renamed(attribute) or is_method(cls, attribute):
            add_member(members, attribute, reach)
        else:
            members.reads.add(attribute)


def _is_renamed(name: str) -> bool:
    return name.startswith("_super_")


def _home(cls: type, name: str) -> tuple[type, str]:
    """The class that defines a method, and the name that it has there."""
    if _is_renamed(name):
        owner, _, method = name.removeprefix("_super_").partition("_")
        home = next(one for one in cls.__mro__ if one.__name__.lower() == owner)
        return home, method
    home_class = definer(cls, name)
    assert home_class is not None
    return home_class, name


def _check_super(folding: Folding, members: Members, home: type, name: str) -> None:
    """``super().forward(x)`` of a class that is not torch's as a call of a method with a name of its own."""
    for node in ast.walk(folding.source.tree):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call)):
            continue
        if not (isinstance(node.value.func, ast.Name) and node.value.func.id == "super"):
            continue
        above = definer(type(members.instance), node.attr, home)
        if above is not None and node.attr in above.__dict__:
            new = f"self._super_{above.__name__.lower()}_{node.attr}"
            folding.source.replace(*folding.source.span(node), new)


@lru_cache(maxsize=4096)
def _definition(home: type, name: str) -> str:
    """The text of a method.

    Raises:
        WrongInputError: if it is not in the source of its module.
    """
    module = parsed(home.__module__)
    node: Any = None
    body: list[ast.stmt] = ast.parse(module.text).body if "." in home.__qualname__ else []
    if "." not in home.__qualname__:
        node = module.bindings.get(home.__qualname__)
    else:
        for part in home.__qualname__.split("."):
            node = next((n for n in body if isinstance(n, ast.ClassDef) and n.name == part), None)
            body = node.body if node else []
    found = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == name] if node else []
    if not found:
        raise WrongInputError(
            f"model.py cannot be written: {home.__qualname__}.{name} is not in the source of {home.__module__}. "
            "Define the class at the top of its module, and the method in it."
        )
    return module.segment(found[-1])


@lru_cache(maxsize=4096)
def _read_of_self(text: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for node in ast.walk(Source(text).tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            found[node.attr] = None
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            first, second = (*node.args, None, None)[:2]
            if isinstance(first, ast.Name) and first.id == "self" and isinstance(second, ast.Constant):
                found[str(second.value)] = None
    return tuple(found)


@lru_cache(maxsize=256)
def _constants(module: str) -> dict[str, Any]:
    """Globals of a module of which tests are known."""
    values = vars(sys.modules[module]).items()
    return {name: value for name, value in values if is_literal(value) or isinstance(value, type)}
