"""What a piece of source needs from its module and others: functions and constants to copy, names to import."""

import ast
import builtins
import sys
from dataclasses import dataclass, field

from torch import nn

from nas.errors import WrongInputError
from nas.export.source.edits import Source
from nas.export.source.folding import docstring, tidied
from nas.export.source.names import Names
from nas.export.source.parsed import Definition, Imported, is_library, parsed

RESERVED = ("build", "named", "read_tensors", "json", "math", "DTYPES", "torch", "nn")
"""Names that the file has anyway."""
SPECIAL = ("__post_init__",)
"""Methods that only check what has been checked."""


@dataclass
class Copied:
    """A definition to write into the file."""

    module: str
    node: Definition
    name: str
    text: str = ""
    pending: bool = False
    """Whether the methods of a class that are needed are still to be found."""


@dataclass
class Reach:
    """All that has been reached.

    Args:
        packages: top-level packages whose source is copied.
        gradients: copy the backward passes of ``torch.autograd.Function`` too.
        documented: copy the first lines of the docstrings of functions.
        described: copy those of classes.
    """

    packages: set[str]
    gradients: bool = True
    documented: bool = True
    described: bool = True
    copied: dict[tuple[str, str], Copied] = field(default_factory=dict)
    imports: set[tuple[str, str, str]] = field(default_factory=set)
    """Module, member or "", name in the file."""
    attributes: set[str] = field(default_factory=set)
    """Names of attributes of other things than ``self`` that what was reached reads."""
    names: set[str] = field(default_factory=lambda: set(RESERVED))
    order: list[Copied] = field(default_factory=list)
    _texts: dict[tuple[str, str], str] = field(default_factory=dict)

    def unused(self, name: str) -> str:
        """``name``, with a number if it is taken; taken from now on."""
        found, number = name, 1
        while found in self.names or hasattr(builtins, found):
            number += 1
            found = f"{name}{number}"
        self.names.add(found)
        return found

    def library(self, module: str, member: str, name: str) -> str:
        """The name under which something of a library is imported."""
        if (module, member) == ("torch.nn", "functional"):
            module, member = "torch.nn.functional", ""
        for entry in self.imports:
            if entry[:2] == (module, member):
                return entry[2]
        chosen = name if name in ("torch", "nn", "json", "math") else self.unused(name)
        self.imports.add((module, member, chosen))
        return chosen

    def resolved(self, text: str, module: str) -> str:
        """``text`` of a module, with the names that its globals have in the file; what it needs is reached.

        Raises:
            WrongInputError: if it needs what cannot be copied.
        """
        key = (module, text)
        if key not in self._texts:
            source = Source(text)
            Names(self, source, module).visit(source.tree)
            self._texts[key] = source.edited()
        return self._texts[key]

    def tidied(self, text: str, moved: int = 4) -> str:
        """A function as it is copied, but for the names of its globals."""
        return tidied(text, moved=moved, documented=self.documented)

    def name_of(self, module: str, name: str) -> str:
        """The name in the file of what ``module`` calls ``name``, which is then reached."""
        bound = parsed(module).bindings.get(name)
        if bound is None:
            if name in ("__name__", "__file__"):
                raise WrongInputError(f"model.py cannot be written: {module} reads {name}, which differs there.")
            raise WrongInputError(
                f"model.py cannot be written: {name}, which {module} uses, is not defined at its top."
            )
        if not isinstance(bound, Imported):
            return self._copy(module, name, bound)
        return self._import(bound, name, module)

    def _import(self, bound: Imported, name: str, where: str) -> str:
        if is_library(bound.module):
            return self.library(bound.module, bound.member or "", name)
        if bound.module.partition(".")[0] not in self.packages:
            raise WrongInputError(
                f"model.py cannot be written: {where} needs {bound.module}, and model.py imports torch alone. "
                "Write the operator with torch, or export it in another format."
            )
        if bound.member is None:
            raise WrongInputError(f"model.py cannot be written: {where} uses the module {bound.module} as a value.")
        return self.name_of(bound.module, bound.member)

    def _copy(self, module: str, name: str, node: Definition) -> str:
        if (module, name) in self.copied:
            return self.copied[module, name].name
        value = getattr(sys.modules.get(module), name, None)
        if isinstance(value, type) and issubclass(value, nn.Module):
            raise WrongInputError(
                f"model.py cannot be written: the forward pass names the module class {module}.{name}, of which the "
                "file has another form. Decide by a setting of the instance instead."
            )
        found = Copied(module, node, self.unused(name))
        text = parsed(module).segment(node)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            self._constant(found, name, text)
            return self.copied[module, name].name
        self.copied[module, name] = found
        if isinstance(node, ast.FunctionDef):
            found.text = _renamed(self.resolved(self.tidied(text, 0), module), f"def {name}", f"def {found.name}")
        else:
            found.text, found.pending = self._head(found, text), True
        self.order.append(found)
        return found.name

    def _constant(self, found: Copied, asked: str, text: str) -> None:
        """Copies an assignment, all names that it binds."""
        source = Source(text)
        stored = [n for n in ast.walk(source.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        top = _targets(source.tree.body[0])
        for target in (node for node in stored if node.id in top):
            place = (found.module, target.id)
            if place not in self.copied:
                name = found.name if target.id == asked else self.unused(target.id)
                self.copied[place] = Copied(found.module, found.node, name)
        Names(self, source, found.module).visit(source.tree)
        for target in (node for node in stored if node.id in top):
            if (name := self.copied[found.module, target.id].name) != target.id:
                source.replace(*source.span(target), name)
        found.text = source.edited()
        self.order.append(found)

    def _head(self, found: Copied, text: str) -> str:
        """A class without its body: decorators and bases."""
        source = Source(text)
        node = source.tree.body[0]
        assert isinstance(node, ast.ClassDef)
        lines = []
        for decorator in node.decorator_list:
            first = next(n for n in ast.walk(decorator) if isinstance(n, ast.Name))
            bound = parsed(found.module).bindings.get(first.id)
            if isinstance(bound, Imported) and is_library(bound.module):
                lines.append("@" + self.resolved(source.edited(*source.span(decorator)), found.module) + "\n")
        bases = [self.resolved(source.edited(*source.span(base)), found.module).strip() for base in node.bases]
        return "".join([*lines, f"class {found.name}({', '.join(bases)}):" if bases else f"class {found.name}:", "\n"])

    def finish(self) -> None:
        """Copies the bodies of classes: of their methods those that anything reads, until nothing more is reached."""
        bodies: dict[str, str] = {}
        while True:
            before = (len(self.attributes), len(self.order))
            for found in [one for one in self.order if one.pending]:
                bodies[found.name] = self._body(found)
            if before == (len(self.attributes), len(self.order)):
                break
        for found in self.order:
            if found.pending:
                found.text, found.pending = found.text + bodies[found.name], False

    def _body(self, found: Copied) -> str:
        source = Source(parsed(found.module).segment(found.node))
        node = source.tree.body[0]
        assert isinstance(node, ast.ClassDef)
        of_library = any(self._is_library(base, found.module) for base in node.bases)
        parts, blocks = [], []
        summary = ast.get_docstring(node) if self.described else None
        if summary:
            first = summary.partition("\n")[0]
            blocks.append(f"    {docstring(first, 4)}\n")
        for part in node.body:
            if isinstance(part, ast.FunctionDef):
                dunder = part.name.startswith("__") and part.name not in SPECIAL
                if part.name == "backward" and of_library and not self.gradients:
                    continue
                if of_library or dunder or part.name in self.attributes:
                    text = self.resolved(self.tidied(_segment(source, part)), found.module)
                    blocks.append(_shifted(text.rstrip() + "\n"))
            elif not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)):
                parts.append(_shifted(self.resolved(_segment(source, part), found.module).rstrip() + "\n"))
        if parts:
            blocks.insert(1 if summary else 0, "".join(parts))
        return "\n".join(blocks) or "    pass\n"

    def _is_library(self, base: ast.expr, module: str) -> bool:
        name = next((n.id for n in ast.walk(base) if isinstance(n, ast.Name)), "")
        bound = parsed(module).bindings.get(name)
        return isinstance(bound, Imported) and is_library(bound.module)


def _targets(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}


def _segment(source: Source, node: ast.stmt) -> str:
    """A statement of a class, without its indentation."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    first = min([node.lineno, *(one.lineno for one in decorators)])
    start, end = source.line_start(first), source.span(node)[1]
    rest = source.line(node.end_lineno or node.lineno)[node.end_col_offset :] if source.text.isascii() else "\n"
    lines = (source.text[start:end] + (rest if rest.lstrip().startswith("#") else "\n")).splitlines(keepends=True)
    cut = node.col_offset
    return "".join(line[cut:] if not line[:cut].strip() else line for line in lines)


def _shifted(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(keepends=True))


def _renamed(text: str, before: str, after: str) -> str:
    return text.replace(before + "(", after + "(", 1) if before != after else text
