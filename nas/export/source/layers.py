"""Calls that construct torch's own modules, parameters and buffers, with arguments read from an instance."""

import inspect
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import WrongInputError
from nas.export.source.expressions import Argument, Call, Items, Leaf, Raw, Repeat, Tree, compressed, leaf
from nas.export.source.static import is_literal

SLOTS = {
    "in_channels": "channels",
    "num_channels": "channels",
    "num_features": "channels",
    "normalized_shape": "channels",
    "in_features": "inputs",
    "out_features": "outputs",
    "kernel_size": "kernel",
}
"""Parameters of torch's modules -> names of arguments that stand for them."""
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
STATE = ("_parameters", "_buffers", "_modules")


def is_torch(cls: type) -> bool:
    """Whether a class comes with torch."""
    return cls.__module__.partition(".")[0] == "torch"


def class_name(cls: type) -> str:
    """How a class of torch is written."""
    return f"nn.{cls.__name__}" if getattr(nn, cls.__name__, None) is cls else f"{cls.__module__}.{cls.__qualname__}"


def base_of(cls: type) -> type[nn.Module]:
    """The first class of torch among the bases."""
    found: type[nn.Module] = next(base for base in cls.__mro__ if is_torch(base))
    return found


def layer_call(module: nn.Module, base: type[nn.Module], where: str) -> Call:
    """``base(...)`` as it makes a module like ``module``.

    Raises:
        WrongInputError: if its arguments cannot be read from the module.
    """
    call, _ = _constructed(module, base, where)
    return call


def base_names(module: nn.Module, base: type[nn.Module], where: str) -> set[str]:
    """Names of the attributes and parts that the constructor of ``base`` makes."""
    _, like = _constructed(module, base, where)
    return {*like.__dict__, *(name for table in STATE for name in like.__dict__[table])}


def _constructed(module: nn.Module, base: type[nn.Module], where: str) -> tuple[Call, nn.Module]:
    key = (base, tuple(sorted((name, repr(value)) for name, value in _settings(module).items())), _shapes(module))
    if key not in _CONSTRUCTED:
        if len(_CONSTRUCTED) > 5000:
            _CONSTRUCTED.clear()
        _CONSTRUCTED[key] = _construct(module, base, where)
    return _CONSTRUCTED[key]


_CONSTRUCTED: dict[Any, tuple[Call, nn.Module]] = {}


def _construct(module: nn.Module, base: Any, where: str) -> tuple[Call, nn.Module]:
    parameters = [p for p in _signature(base) if p.name not in ("device", "dtype") and not p.name.startswith("_")]
    values = {p.name: _read(module, p) for p in parameters}
    if (dtype := _dtype(module)) is not None:
        values["dtype"] = dtype
    for simple in (True, False):
        given = {name: _simplest(name, value) if simple else value for name, value in values.items()}
        try:
            with torch.device("meta"):
                like = base(**given)
        except Exception:  # whatever the constructor does not take
            continue
        if _equal(module, like):
            return Call(class_name(base), tuple(_arguments(parameters, given))), like
    raise WrongInputError(
        f"model.py cannot be written: the arguments of {class_name(base)} at {where} cannot be read from it. "
        "Write the operator with layers whose arguments are their attributes."
    )


def _arguments(parameters: Sequence[inspect.Parameter], given: dict[str, Any]) -> Iterable[Argument]:
    named = False
    for parameter in parameters:
        value, optional = given[parameter.name], parameter.default is not parameter.empty
        default = leaf(parameter.default) if optional and is_literal(parameter.default) else None
        named = named or optional or parameter.kind is parameter.KEYWORD_ONLY
        slot = SLOTS.get(parameter.name, parameter.name)
        yield Argument(leaf(value, slot), parameter.name if named else "", default)
    if "dtype" in given:
        yield Argument(leaf(given["dtype"], "dtype"), "dtype")


@lru_cache(maxsize=256)
def _signature(base: Any) -> tuple[inspect.Parameter, ...]:
    if base is nn.Module or issubclass(base, CONTAINERS):
        return ()
    found = list(inspect.signature(nn.RNNBase if issubclass(base, nn.RNNBase) else base).parameters.values())
    skipped = ("mode",) if issubclass(base, nn.RNNBase) else ()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return tuple(p for p in found if p.kind not in variadic and p.name not in skipped)


def _read(module: nn.Module, parameter: inspect.Parameter) -> Any:
    value = getattr(module, parameter.name, parameter.default)
    if parameter.name == "bias" and not isinstance(value, bool):
        return value is not None
    return tuple(value) if isinstance(value, list | torch.Size) else value


def _simplest(name: str, value: Any) -> Any:
    """``(3, 3)`` as 3."""
    alike = isinstance(value, tuple) and value and len(set(value)) == 1 and name != "output_size"
    return value[0] if alike else value


def _dtype(module: nn.Module) -> torch.dtype | None:
    own = {p.dtype for p in module._parameters.values() if p is not None}
    return next(iter(own)) if len(own) == 1 and own != {torch.float32} else None


def _settings(module: nn.Module) -> dict[str, Any]:
    return {n: v for n, v in module.__dict__.items() if not n.startswith("_") and n != "training"}


def _shapes(module: nn.Module) -> tuple[Any, ...]:
    tables: list[dict[str, Tensor | None]] = [{**module._parameters}, module._buffers]
    return tuple((n, None if t is None else (t.shape, t.dtype)) for table in tables for n, t in table.items())


def _equal(module: nn.Module, like: nn.Module) -> bool:
    """Whether what ``like`` holds is held by the module too, and all of it if the module is of the same class."""
    mine, made, settings = dict(_shapes(module)), dict(_shapes(like)), _settings(module)
    if type(module) is type(like) and mine != made:
        return False
    return all(mine.get(name, ...) == value for name, value in made.items()) and all(
        name in settings and repr(settings[name]) == repr(value) for name, value in _settings(like).items()
    )


def zeros(tensor: Tensor, slot: str) -> Call:
    """``torch.zeros`` of the shape and type of a parameter or buffer."""
    sides = [Argument(leaf(side, "size" if slot in ("weight", "bias") else f"{slot}_size")) for side in tensor.shape]
    if not sides:
        sides = [Argument(Raw("()"))]
    transposed = tensor.ndim == 2 and not tensor.is_contiguous() and tensor.T.is_contiguous()
    default = [] if tensor.dtype == torch.float32 else [Argument(leaf(tensor.dtype), "dtype")]
    # As it lies in memory: products with it are the same bit for bit.
    return Call("torch.zeros", (*(sides[::-1] if transposed else sides), *default), ".T" if transposed else "")


def parameter_call(tensor: Tensor, slot: str) -> Call:
    """``nn.Parameter`` of the shape and type of one."""
    trained = Argument(leaf(False), "requires_grad")
    real = tensor.is_floating_point() or tensor.is_complex()
    return Call("nn.Parameter", (Argument(zeros(tensor, slot)), *([] if real else [trained])))


def sequence(items: Sequence[Tree], function: str) -> Call:
    """A module that holds ``items`` under their numbers."""
    parts = compressed(items)
    if function == "nn.Sequential":
        return Call(function, tuple(map(Argument, parts)))
    if len(parts) == 1 and isinstance(parts[0], Repeat):
        return Call(function, (Argument(replace(parts[0], alone=True)),))
    return Call(function, (Argument(Items(parts)),) if parts else ())


def named(items: "OrderedDict[str, Tree]", function: str) -> Call:
    """A module that holds ``items`` under their names."""
    simple = all(name.isidentifier() for name in items)
    if simple:
        pairs = Call("OrderedDict", tuple(Argument(value, name) for name, value in items.items()))
        return Call(function, (Argument(pairs),))
    both = tuple(Items((Leaf(repr(name), "str"), value), "()") for name, value in items.items())
    return Call(function, (Argument(Call("OrderedDict", (Argument(Items(both)),))),))
