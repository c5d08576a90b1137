"""What can be known of an expression in a method before it runs, from the settings of the instance that has it."""

import ast
import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

UNKNOWN: Any = object()
"""The value of an expression that depends on more than the instance."""

ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "hasattr": hasattr,
    "isinstance": isinstance,
    "len": len,
    "bool": bool,
    "int": int,
    "min": min,
    "max": max,
    "abs": abs,
}
OF_TENSORS = ("shape", "ndim", "dtype", "is_complex")
"""Attributes of parameters and buffers that stay as they are."""


class Static:
    """Values of expressions in one function.

    Args:
        known: name -> value of what is known: ``self``, globals.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = dict(known)

    def learn(self, function: ast.FunctionDef) -> None:
        """Adds the local names that are set once, to a value that is known."""
        stored: dict[str, int] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
                stored[node.id] = stored.get(node.id, 0) + 1
            elif isinstance(node, ast.arg):
                stored[node.arg] = 2
        for name in stored:
            if name != "self":
                self.known.pop(name, None)  # hides a global
        self._learn_from(function.body, stored)

    def _learn_from(self, body: list[ast.stmt], stored: Mapping[str, int]) -> None:
        for node in body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                self._bind(node.targets[0], node.value, stored)
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                self._bind(node.target, node.value, stored)
            elif isinstance(node, ast.If | ast.With):
                self._learn_from(node.body, stored)
                self._learn_from(node.orelse if isinstance(node, ast.If) else [], stored)

    def _bind(self, target: ast.expr, value: ast.expr, stored: Mapping[str, int]) -> None:
        if isinstance(target, ast.Name) and stored[target.id] == 1:
            if (found := self.value(value)) is not UNKNOWN:
                self.known[target.id] = found
        elif isinstance(target, ast.Tuple) and not any(isinstance(item, ast.Starred) for item in target.elts):
            if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
                for part, given in zip(target.elts, value.elts, strict=True):
                    self._bind(part, given, stored)
            elif isinstance(found := self.value(value), tuple) and len(found) == len(target.elts):
                for part, one in zip(target.elts, found, strict=True):
                    if isinstance(part, ast.Name) and stored[part.id] == 1:
                        self.known[part.id] = one

    def truth(self, node: ast.expr) -> bool | None:
        """Whether a test holds; None if that is not known."""
        if isinstance(node, ast.BoolOp):
            parts = [self.truth(part) for part in node.values]
            decisive = isinstance(node.op, ast.Or)
            if decisive in parts:
                return decisive
            return None if None in parts else not decisive
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.truth(node.operand)
            return None if inner is None else not inner
        found = self.value(node)
        return None if found is UNKNOWN or isinstance(found, Tensor) else bool(found)

    def value(self, node: ast.expr) -> Any:
        """The value of an expression, or UNKNOWN."""
        try:
            return self._value(node)
        except Exception:  # whatever it raises, it raises when it runs
            return UNKNOWN

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self.known.get(node.id, UNKNOWN)
            case ast.Attribute():
                return attribute(self.value(node.value), node.attr)
            case ast.Tuple():
                items = tuple(self.value(item) for item in node.elts)
                return UNKNOWN if any(item is UNKNOWN for item in items) else items
            case ast.IfExp():
                test = self.truth(node.test)
                return UNKNOWN if test is None else self.value(node.body if test else node.orelse)
            case ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                truth = self.truth(node)
                return UNKNOWN if truth is None else truth
            case ast.UnaryOp(op=ast.USub()):
                return -_plain(self.value(node.operand))
            case ast.BinOp():
                return ARITHMETIC[type(node.op)](_plain(self.value(node.left)), _plain(self.value(node.right)))
            case ast.Subscript():
                return _indexed(self.value(node.value), self.value(node.slice))
            case ast.Compare():
                return self._compared(node)
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS and name not in self.known:
                arguments = [self.value(argument) for argument in node.args]
                if any(argument is UNKNOWN for argument in arguments):
                    return UNKNOWN
                return FUNCTIONS[name](*arguments)
        return UNKNOWN

    def _compared(self, node: ast.Compare) -> Any:
        values = [self.value(part) for part in (node.left, *node.comparators)]
        if any(value is UNKNOWN for value in values):
            return UNKNOWN
        for test, left, right in zip(node.ops, values, values[1:], strict=False):
            if isinstance(test, ast.Is | ast.IsNot):
                if not (left is None or right is None or isinstance(left, bool) or isinstance(right, bool)):
                    return UNKNOWN
            elif isinstance(left, Tensor) or isinstance(right, Tensor):
                return UNKNOWN
            if not COMPARED[type(test)](left, right):
                return False
        return True


def _plain(value: Any) -> Any:
    if not isinstance(value, int | float | str | tuple):
        raise TypeError("no arithmetic of other values")
    return value


def _indexed(value: Any, index: Any) -> Any:
    if isinstance(value, tuple | list | dict | nn.ModuleList | nn.Sequential) and index is not UNKNOWN:
        return value[index]
    return UNKNOWN


def attribute(owner: Any, name: str) -> Any:
    """An attribute that is the same at every call, or UNKNOWN; no property of a module runs."""
    if isinstance(owner, nn.Module):
        for table in (owner._parameters, owner._buffers, owner._modules):
            if name in table:
                return table[name]
        if name == "training":
            return False  # the file is that of a network in eval mode
        if name in owner.__dict__:
            return owner.__dict__[name]
        found = next((cls.__dict__[name] for cls in type(owner).__mro__ if name in cls.__dict__), UNKNOWN)
        return found if isinstance(found, int | float | str | tuple | None) else UNKNOWN
    if isinstance(owner, Tensor):
        return getattr(owner, name) if name in OF_TENSORS else UNKNOWN
    if dataclasses.is_dataclass(owner) and not isinstance(owner, type):
        found = getattr(owner, name)
        return UNKNOWN if callable(found) else found
    return UNKNOWN


def is_literal(value: Any) -> bool:
    """Whether a value can be written as one: numbers, texts, None, types of numbers, and tuples of these."""
    if isinstance(value, tuple):
        return all(is_literal(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str | torch.dtype)
