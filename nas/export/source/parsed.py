"""Python modules as text and syntax tree: where a name is defined, and the text of a definition, comments included."""

import ast
import importlib
import inspect
import sys
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import ModuleType

from nas.errors import WrongInputError
from nas.plugins import PREFIX, loaded_from

Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Imported:
    """What an import statement binds to a name: a module, or with ``member`` something of it."""

    module: str
    member: str | None = None


class Parsed:
    """The source of a module."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        self.lines = text.splitlines(keepends=True)

    @cached_property
    def bindings(self) -> dict[str, Definition | Imported]:
        """Name -> what binds it at the top of the module."""
        found: dict[str, Definition | Imported] = {}
        waiting = list(ast.parse(self.text).body)
        while waiting:
            node = waiting.pop(0)
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    found[bound] = Imported(alias.name if alias.asname else bound)
            elif isinstance(node, ast.ImportFrom):
                origin = _absolute(self.name, node)
                found |= {a.asname or a.name: Imported(origin, a.name) for a in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] = node
            elif isinstance(node, ast.Assign):
                found |= {name.id: node for target in node.targets for name in _names(target)}
            elif isinstance(node, ast.AnnAssign):
                found |= {name.id: node for name in _names(node.target)}
            elif isinstance(node, ast.If | ast.Try):
                waiting = [*node.body, *node.orelse, *waiting]
        return found

    def segment(self, node: ast.stmt) -> str:
        """The lines of a definition, decorators and comments included, without the indentation of its first one."""
        decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        first = min([node.lineno, *(one.lineno for one in decorators)])
        lines, cut = self.lines[first - 1 : node.end_lineno], node.col_offset
        return "".join(line[cut:] if not line[:cut].strip() else line for line in lines).rstrip() + "\n"


def _names(target: ast.expr) -> list[ast.Name]:
    return [node for node in ast.walk(target) if isinstance(node, ast.Name)]


def _absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    is_package = hasattr(sys.modules.get(module), "__path__")
    parts = module.split(".")
    base = parts[: len(parts) - node.level + is_package]
    return ".".join([*base, *([node.module] if node.module else [])])


def parsed(name: str) -> Parsed:
    """The source of a module that has been imported, of a plugin that of the file as it was run.

    Raises:
        WrongInputError: if there is none.
    """
    module = sys.modules.get(name) or importlib.import_module(name)
    try:
        plugin = name.startswith(PREFIX) and module.__file__
        text = loaded_from(plugin).source.decode() if plugin else _text(module)
    except (OSError, TypeError, UnicodeDecodeError):
        raise WrongInputError(
            f"model.py cannot be written: the source of {name} is not to be had. Put its operators into a file."
        ) from None
    return _parsed(name, text)


@lru_cache(maxsize=64)
def _text(module: ModuleType) -> str:
    return inspect.getsource(module)


@lru_cache(maxsize=256)
def _parsed(name: str, text: str) -> Parsed:
    return Parsed(name, text)


def is_library(name: str) -> bool:
    """Whether a module is of the standard library or of torch, which ``model.py`` may import."""
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top in ("torch", "builtins")
