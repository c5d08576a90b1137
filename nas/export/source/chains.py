"""Modules that need no class of their own, because torch has one that does the same."""

import ast

from torch import nn

from nas.export.source.layers import base_of
from nas.export.source.members import Members


def chain(members: Members) -> list[tuple[str, nn.Module]]:
    """The parts of a module that runs them one after the other and does nothing else, the first one first."""
    module, texts = members.instance, members.texts
    if set(texts) != {"forward"} or base_of(type(module)) is not nn.Module or "#" in texts["forward"]:
        return []
    function = ast.parse(texts["forward"]).body[0]
    assert isinstance(function, ast.FunctionDef)
    last, arguments = function.body[-1], [argument.arg for argument in function.args.args]
    node, found = last.value if isinstance(last, ast.Return) else None, list[str]()
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 1:
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "self" and not node.keywords):
            return []
        found, node = [node.func.attr, *found], node.args[0]
    statements = len(function.body) - (ast.get_docstring(function) is not None)
    ends = isinstance(node, ast.Name) and arguments == ["self", node.id] and statements == 1
    parts = [(name, module._modules.get(name)) for name in found]
    own = {name.partition(".")[0] for name in module.state_dict()}
    if not ends or len(set(found)) != len(found) or not own <= set(found):
        return []
    return [(name, part) for name, part in parts if part is not None] if None not in dict(parts).values() else []


def passes(members: Members) -> bool:
    """Whether a module returns its input and holds nothing."""
    texts = members.texts
    if set(texts) != {"forward"} or members.instance.state_dict():
        return False
    lines = texts["forward"].splitlines()
    argument = lines[0].partition("self, ")[2].partition(":")[0].partition(",")[0].partition(")")[0]
    return bool(argument) and lines[-1].strip() == f"return {argument}" and len(lines) <= 3 and "=" not in lines[-2]
