"""``model.py``: the source of exactly one network, in plain PyTorch.

The forward passes are those of the operators, copied with their comments; branches that a setting of the network
decides are left out. Constructors are made from the parts of the instances: equal blocks are one class, which takes
as arguments what differs. Rejected: a template for each operator (two truths), the code of ``torch.export`` (118 lines
of aten for a small network).
"""

import ast
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import wrap

import torch
from torch import Tensor, nn

from nas.errors import WrongInputError
from nas.export.source.classes import Classes, Line, Written
from nas.export.source.expressions import Argument, Call, Items, Leaf, Raw, Tree, written
from nas.export.source.folding import docstring
from nas.export.source.layers import base_of, class_name
from nas.export.source.loader import loader
from nas.export.source.members import is_own
from nas.export.source.reach import Reach

PACKAGES = ("nas", "searchspaces")
NAMED = '''\
def named(**layers: nn.Module) -> nn.Sequential:
    """The layers one after the other, under their names."""
    return nn.Sequential(OrderedDict(layers))
'''
MOST_LINES = 300
"""Lines that a file should have at most."""
LEFT_OUT = ("gradients", "documented", "described")
"""What a longer file is written again without, one after the other: backward passes of custom functions, docstrings of
functions, docstrings of classes."""


@dataclass(frozen=True)
class Model:
    """A network as a file of source and one of tensors.

    Args:
        source: content of ``model.py``.
        state: tensor of each name that ``build`` of the file reads.
    """

    source: str
    state: Mapping[str, Tensor]


def model_source(network: nn.Module) -> str:
    """Plain PyTorch source of a network in eval mode, which imports torch and the standard library alone.

    Its ``build(path)`` reads the tensors of `model_state` from a safetensors file.

    Raises:
        WrongInputError: if the network has a part whose source is not to be had or needs other packages.
    """
    return inlined(network).source


def model_state(network: nn.Module) -> dict[str, Tensor]:
    """The tensors that ``model.py`` reads: the state dict, and buffers that it lacks and the forward pass needs.

    Raises:
        WrongInputError: as `model_source`.
    """
    return dict(inlined(network).state)


def inlined(network: nn.Module) -> Model:
    """Source and tensors of a network.

    Raises:
        WrongInputError: as `model_source`.
    """
    if not is_own(network):
        raise WrongInputError(f"model.py holds a network with a class of its own, got {type(network).__name__}.")
    for left_out in range(len(LEFT_OUT) + 1):
        found = _inlined(network, **dict.fromkeys(LEFT_OUT[:left_out], False))
        if found.source.count("\n") <= MOST_LINES:
            break
    return found


def _inlined(network: nn.Module, *, gradients: bool = True, documented: bool = True, described: bool = True) -> Model:
    packages = {type(module).__module__.partition(".")[0] for module in network.modules()} | set(PACKAGES)
    copied = {name for name in packages if name not in ("torch", "builtins")} - set(sys.stdlib_module_names)
    reach = Reach(copied, gradients=gradients, documented=documented, described=described)
    classes = Classes(network, reach)
    for module, member in (
        ("torch", ""),
        ("torch", "nn"),
        ("torch", "Tensor"),
        ("json", ""),
        ("math", ""),
        ("pathlib", "Path"),
    ):
        reach.library(module, member, member or module)
    state = {**network.state_dict(), **classes.stored}
    source = _file(network, classes, {tensor.dtype for tensor in state.values()})
    try:
        ast.parse(source)
    except SyntaxError as error:
        raise WrongInputError(f"model.py cannot be written: it would be no Python ({error}).") from None
    return Model(source, {name: tensor.detach() for name, tensor in state.items()})


def _file(network: nn.Module, classes: Classes, dtypes: set[torch.dtype]) -> str:
    numbers = sum(parameter.numel() for parameter in network.parameters())
    head = (
        f"The source of one network, {numbers:,} parameters, in plain PyTorch: "
        'model = build("model.safetensors"). Written for eval mode: drop path is left out, and no parameter is frozen.'
    )
    if not classes.reach.gradients and any("autograd" in one.text for one in classes.reach.order):
        head += " The gradients of custom functions are left out too."
    about = '"""' + "\n".join(wrap(head, 116)) + '\n"""\n'
    copied = [one.text.strip("\n") + "\n" for one in classes.reach.order]
    made = [_class(one, classes.reach) for one in classes.written]
    unused = _identities(classes)
    helpers = [NAMED] if any("named(" in text for text in made) else []
    used = (text for one, text in zip(classes.written, made, strict=True) if one.name not in unused)
    parts = [*helpers, *copied, *used]
    parts.append(loader(classes.written[-1].name, dtypes))
    return "\n".join([about, _imports(classes.reach, "\n".join(parts))]) + _joined(parts)


def _identities(classes: Classes) -> set[str]:
    """Classes of which no part is made, because they would return their input."""
    called = {classes.written[-1].name}
    for one in classes.written:
        for line in one.lines:
            called |= set(_called(line))
    return {one.name for one in classes.written} - called


def _called(line: Line) -> list[str]:
    text = written(line.tree, 0)
    calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return [function.id for function in calls if isinstance(function, ast.Name)]


def _joined(parts: list[str]) -> str:
    """Definitions with two empty lines around functions and classes."""
    text, before = "", ""
    for part in parts:
        is_block = part.startswith(("def ", "class ", "@"))
        gap = "\n\n" if is_block or before == "block" else "\n" if not before else ""
        text += gap + part
        before = "block" if is_block or part is parts[-1] else "constant"
    return text


def _imports(reach: Reach, text: str) -> str:
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    groups: dict[bool, tuple[list[str], dict[str, list[str]]]] = {False: ([], {}), True: ([], {})}
    for module, member, name in sorted(reach.imports):
        if name not in used and not _in_texts(name, text):
            continue
        plain, members = groups[module.partition(".")[0] == "torch"]
        if member:
            members.setdefault(module, []).append(member if member == name else f"{member} as {name}")
        else:
            plain.append(f"import {module}" if module == name else f"import {module} as {name}")
    blocks = []
    for plain, members in (groups[False], groups[True]):
        froms = [f"from {module} import {', '.join(sorted(names, key=_rank))}" for module, names in members.items()]
        if plain or froms:
            blocks.append("\n".join([*sorted(plain), *sorted(froms)]) + "\n")
    return "\n".join(blocks)


def _in_texts(name: str, text: str) -> bool:
    """Whether a name stands in an annotation that is a text."""
    constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    return any(isinstance(value, str) and value.split("[")[0] == name for value in constants)


def _rank(name: str) -> tuple[int, str]:
    """Constants, classes, functions, as ruff sorts them."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2), name


def _class(one: Written, reach: Reach) -> str:
    base = base_of(one.of)
    parts = [f"class {one.name}({class_name(base)}):\n"]
    if reach.described and (summary := _summary(one.of)):
        parts.append(f"    {docstring(summary, 4)}\n")
    if one.buffers and reach.documented:
        parts.append("\n" + "".join(f"    {name}: Tensor\n" for name in one.buffers))
    blocks = ["".join(parts)]
    if len(one.lines) > 1 or one.lines[0].tree != Call("super().__init__"):
        blocks.append(_constructor(one))
    for text in one.methods:
        blocks.append("".join(f"    {line}" if line.strip() else line for line in text.splitlines(keepends=True)))
    if blocks[0].endswith(":\n") and len(blocks) > 1:
        blocks[:2] = [blocks[0] + blocks[1]]  # no empty line where there is no docstring
    return "\n".join(block.rstrip("\n") + "\n" for block in blocks)


def _constructor(one: Written) -> str:
    arguments = tuple(Argument(Raw(f"{name}: {kind}")) for name, kind in one.arguments)
    head = written(Call("def __init__", (Argument(Raw("self")), *arguments)), 4, 4, len(" -> None:"))
    lines = [f"    {head} -> None:\n"]
    for line in _merged(one.lines):
        text = written(line.tree, 8, 8 + len(line.before), len(line.after))
        lines.append(f"        {line.before}{text}{line.after}\n")
    return "".join(lines)


def _merged(lines: list[Line]) -> list[Line]:
    """The statements of a constructor, with short settings on one line: ``self.a, self.b = 1, 2``."""
    found: list[Line] = []
    short: list[Line] = []
    for line in [*lines, None]:
        is_short = line is not None and line.before.startswith("self.") and not line.after and _is_short(line.tree)
        if line and is_short and len("".join(one.before + written(one.tree, 0) for one in [*short, line])) < 100:
            short.append(line)
            continue
        if short:
            names = ", ".join(one.before.removesuffix(" = ") for one in short)
            values = ", ".join(written(one.tree, 0) for one in short)
            found.append(Line(f"{names} = ", Raw(values)))
        short = [line] if line and is_short else []
        if line and not is_short:
            found.append(line)
    return found


def _is_short(tree: Tree) -> bool:
    return isinstance(tree, Leaf) or (isinstance(tree, Items) and all(isinstance(item, Leaf) for item in tree.items))


def _summary(cls: type[nn.Module]) -> str:
    """The first line of a class's docstring; of "Module of `Spec`." that of the spec."""
    text = (cls.__dict__.get("__doc__") or "").strip().partition("\n")[0]
    if text.startswith("Module of `"):
        name = text.removeprefix("Module of `").partition("`")[0]
        spec = getattr(sys.modules[cls.__module__], name, None)
        text = (getattr(spec, "__doc__", None) or text).strip().partition("\n")[0]
    return text if text.endswith((".", "?")) or ". " not in text else text[: text.rindex(". ") + 1]
