"""The names in a piece of source that its module defines or imports."""

import ast
import builtins
import sys
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from torch import nn

from nas.export.source.edits import Source
from nas.export.source.parsed import Imported, is_library, parsed


class Reaching(Protocol):
    """What keeps the names that are found."""

    packages: set[str]
    attributes: set[str]

    def name_of(self, module: str, name: str) -> str:
        """The name in the file of what ``module`` calls ``name``."""

    def library(self, module: str, member: str, name: str) -> str:
        """The name under which something of a library is imported."""


class Names(ast.NodeVisitor):
    """Finds the globals in a piece of source, and asks for edits where they have other names in the file."""

    def __init__(self, reach: Reaching, source: Source, module: str) -> None:
        self.reach, self.source, self.module = reach, source, module
        self.locals: list[set[str]] = []
        self.annotation = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)):
            self.visit(part)
        arguments = [n for n in ast.walk(node.args) if isinstance(n, ast.arg)]
        for annotation in (*(a.annotation for a in arguments), node.returns):
            self._annotated(annotation)
        self.locals.append({a.arg for a in arguments} | _stored(node.body))
        for statement in node.body:
            self.visit(statement)
        self.locals.pop()

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._inside({n.arg for n in ast.walk(node.args) if isinstance(n, ast.arg)}, node.body)

    def _comprehension(self, node: ast.expr) -> None:
        self._inside(_stored([node]), *ast.iter_child_nodes(node))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

    def _inside(self, names: set[str], *nodes: ast.AST) -> None:
        self.locals.append(names)
        for node in nodes:
            self.visit(node)
        self.locals.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._annotated(node.annotation)
        if node.value is not None:
            self.visit(node.value)

    def _annotated(self, node: ast.expr | None) -> None:
        if node is None:
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            inner = Source(node.value)
            names = Names(self.reach, inner, self.module)
            names.annotation = True
            names.visit(inner.tree)
            self.source.replace(*self.source.span(node), lambda: f'"{inner.edited()}"')
            return
        self.annotation = True
        self.visit(node)
        self.annotation = False

    def visit_Attribute(self, node: ast.Attribute) -> None:
        root = node.value
        if isinstance(root, ast.Name) and self._is_global(root.id):
            bound = parsed(self.module).bindings.get(root.id)
            module = _module_of(bound)
            if module and module.partition(".")[0] in self.reach.packages:
                self._named(node, lambda: self.reach.name_of(module, node.attr), module, node.attr)
                return
        if not (isinstance(root, ast.Name) and root.id == "self"):
            self.reach.attributes.add(node.attr)
        self.visit(root)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and self._is_global(node.id):
            known = node.id in parsed(self.module).bindings
            if known or not hasattr(builtins, node.id):
                self._named(node, lambda: self.reach.name_of(self.module, node.id), self.module, node.id)

    def _named(self, node: ast.expr, name_of: Callable[[], str], module: str, name: str) -> None:
        value: Any = getattr(sys.modules.get(module), name, None)
        own = isinstance(value, type) and issubclass(value, nn.Module) and not is_library(value.__module__)
        if self.annotation and own:
            self.reach.library("torch", "nn", "nn")
            new = "nn.Module"
        else:
            new = name_of()
        start, end = self.source.span(node)
        if self.source.text[start:end] != new:
            self.source.replace(start, end, new)

    def _is_global(self, name: str) -> bool:
        return not any(name in names for names in self.locals)


def _module_of(bound: object) -> str | None:
    """The module that an import binds, if it binds one."""
    if not isinstance(bound, Imported):
        return None
    if bound.member is None:
        return bound.module
    inner = f"{bound.module}.{bound.member}"
    return inner if inner in sys.modules and not is_library(inner) else None


def _stored(nodes: Iterable[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store | ast.Del):
                found.add(part.id)
            elif isinstance(part, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and part.name:
                found.add(part.name)
    return found
