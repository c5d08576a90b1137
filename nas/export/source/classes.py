"""The classes of the modules of a network: one for all instances that differ in values alone."""

import dataclasses
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from nas.errors import WrongInputError
from nas.export.source.chains import chain, passes
from nas.export.source.expressions import (
    Argument,
    Call,
    Leaf,
    Raw,
    Tree,
    argument_names,
    argument_types,
    filled,
    leaves,
    skeleton,
)
from nas.export.source.layers import (
    CONTAINERS,
    base_names,
    base_of,
    class_name,
    is_torch,
    layer_call,
    named,
    parameter_call,
    sequence,
    zeros,
)
from nas.export.source.members import Members, add_member, is_method, is_own, overridden
from nas.export.source.reach import Reach
from nas.export.source.settings import setting
from nas.export.source.static import is_literal

HOOKS = ("_forward_hooks", "_forward_pre_hooks")


@dataclass(frozen=True)
class Line:
    """A statement of a constructor: ``before``, an expression, ``after``."""

    before: str
    tree: Tree
    after: str = ""
    part: str = ""
    """Name of the attribute, if the expression makes a module."""


@dataclass
class Written:
    """A class of the file.

    Args:
        of: the class that it is made from.
        lines: its constructor, with arguments in place of what differs.
        arguments: name and type of each.
        methods: their texts.
        buffers: names that the class declares as tensors.
    """

    name: str
    of: type[nn.Module]
    lines: list[Line]
    arguments: list[tuple[str, str]]
    methods: list[str]
    buffers: list[str]


@dataclass
class Classes:
    """Classes of a network, the parts of others first."""

    network: nn.Module
    reach: Reach
    members: dict[int, Members] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)
    calls: dict[int, Call] = field(default_factory=dict)
    """Identity of an instance -> the call that makes one like it."""
    stored: dict[str, Tensor] = field(default_factory=dict)
    """Tensors that the network's state dict lacks and its forward pass reads."""

    def __post_init__(self) -> None:
        places = dict(self.network.named_modules(remove_duplicate=False))
        for place, module in places.items():
            _check(module, place)
        own = {id(module): module for module in places.values() if is_own(module)}
        names = {id(module): place for place, module in places.items()}
        self._find_members(list(own.values()))
        height = {id(module): _height(module) for module in own.values()}
        for level in sorted(set(height.values())):
            self._write([module for module in own.values() if height[id(module)] == level], names)
        for place, module in places.items():
            if id(module) in own:
                self._store(place, module)
        self.reach.finish()

    def _find_members(self, modules: list[nn.Module]) -> None:
        for module in modules:
            found = self.members[id(module)] = Members(module)
            for name in overridden(type(module)):
                add_member(found, name, self.reach)
        before = -1
        while before != len(self.reach.attributes):
            before = len(self.reach.attributes)
            for module in modules:
                for name in sorted(self.reach.attributes):
                    if is_method(type(module), name):
                        add_member(self.members[id(module)], name, self.reach)

    def _reads(self, module: nn.Module) -> set[str]:
        return self.members[id(module)].reads | self.reach.attributes

    def _write(self, modules: list[nn.Module], names: dict[int, str]) -> None:
        """Writes the classes of modules whose parts are written, and finds the call of each module."""
        groups: dict[Any, list[tuple[nn.Module, list[Line]]]] = {}
        for module in modules:
            if module is not self.network and (parts := chain(self.members[id(module)])):
                place = names[id(module)]
                self.calls[id(module)] = self._named((n, self._module(c, f"{place}.{n}")) for n, c in parts)
                continue
            lines = list(self._lines(module, names[id(module)]))
            texts = tuple(self.members[id(module)].texts.items())
            shape = tuple((line.before, line.part or skeleton(line.tree), line.after) for line in lines)
            groups.setdefault((type(module), texts, shape), []).append((module, lines))
        for (cls, texts, _), group in groups.items():
            whole = _different([lines for _, lines in group])
            values = [[value for line in lines for value in _values(line, whole)] for _, lines in group]
            columns: list[tuple[Tree, ...]] = list(zip(*values, strict=True))
            slots = [line.part for line in group[0][1] for _ in _values(line, whole)]
            arguments = argument_names(columns, slots, {"self"})
            chosen = iter(_as_arguments(columns, arguments))
            lines = [
                dataclasses.replace(line, tree=next(chosen) if line.part in whole else filled(line.tree, chosen))
                for line in group[0][1]
            ]
            name = self.reach.unused(cls.__name__.lstrip("_"))
            buffers = [n for n, t in group[0][0]._buffers.items() if any(f'"{n}"' in line.before for line in lines)]
            methods = [text for _, text in self._in_order(cls, dict(texts))]
            self.written.append(Written(name, cls, lines, argument_types(arguments), methods, buffers))
            named_too = len(arguments) > 2
            for number, (module, _) in enumerate(group):
                given = [
                    Argument(_renamed(column[number], argument), argument if named_too else "")
                    for column, argument in arguments.items()
                ]
                self.calls[id(module)] = Call(name, tuple(given))

    def _in_order(self, cls: type, texts: dict[str, str]) -> list[tuple[str, str]]:
        defined = [name for one in cls.__mro__ for name in one.__dict__]
        return sorted(texts.items(), key=lambda item: defined.index(item[0]) if item[0] in defined else len(defined))

    def _lines(self, module: nn.Module, place: str) -> Iterator[Line]:
        """The constructor of a class as it makes one instance."""
        base, reads = base_of(type(module)), self._reads(module)
        made, call = {"training"}, Call("super().__init__")
        if issubclass(base, CONTAINERS):
            inner = self._container(base, module, place)
            call = Call("super().__init__", inner.arguments)
            made |= set(module._modules) | set(nn.Module().__dict__)
        elif base is not nn.Module:
            call = Call("super().__init__", layer_call(module, base, place).arguments)
            made |= base_names(module, base, place)
        yield Line("", call)
        settings = {**module.__dict__, **_of_class(module), **self.members[id(module)].flat}
        for name, value in settings.items():
            if name in made or name in nn.Module().__dict__ or (name not in reads and name not in _flat(self, module)):
                continue
            if isinstance(value, Tensor):
                yield Line(f'self.register_buffer("{name}", ', zeros(value, name), ")")
            else:
                yield Line(f"self.{name} = ", setting(value, name, place, self.reach))
        for name, parameter in module._parameters.items():
            if name not in made and parameter is not None:
                yield Line(f"self.{name} = ", parameter_call(parameter, name))
            elif name not in made and name in reads:
                yield Line(f"self.{name} = ", Raw("None"))
        for name, buffer in module._buffers.items():
            if name not in made and buffer is not None and self._keeps(module, name):
                yield Line(f'self.register_buffer("{name}", ', zeros(buffer, name), ")")
            elif name not in made and buffer is None and name in reads:
                yield Line(f"self.{name} = ", Raw("None"))
        for name, child in module._modules.items():
            if name in made:
                continue
            if child is None:
                if name in reads:
                    yield Line(f"self.{name} = ", Raw("None"))
            elif name in reads or child.state_dict():
                tree = self._module(child, f"{place}.{name}" if place else name)
                simple = name.isidentifier()
                before = f"self.{name} = " if simple else f'self.add_module("{name}", '
                yield Line(before, tree, "" if simple else ")", name)

    def _keeps(self, module: nn.Module, name: str) -> bool:
        return name not in module._non_persistent_buffers_set or name in self._reads(module)

    def _module(self, module: nn.Module, place: str) -> Tree:
        if id(module) in self.calls:
            call = self.calls[id(module)]
            return Call("nn.Identity") if passes(self.members[id(module)]) else call
        base = base_of(type(module))
        if issubclass(base, CONTAINERS):
            return self._container(base, module, place)
        if isinstance(module, nn.ParameterList):
            return sequence([zeros(tensor, "values") for tensor in module], "nn.ParameterList")
        if isinstance(module, nn.ParameterDict):
            return named(OrderedDict((n, zeros(t, n)) for n, t in module.items()), "nn.ParameterDict")
        return layer_call(module, base, place)

    def _container(self, base: type[nn.Module], module: nn.Module, place: str) -> Call:
        parts = OrderedDict((n, self._module(c, f"{place}.{n}")) for n, c in module._modules.items() if c is not None)
        if base is not nn.ModuleDict and list(parts) == [str(number) for number in range(len(parts))]:
            return sequence(list(parts.values()), class_name(base))
        if base is nn.Sequential:
            return self._named(parts.items())
        self.reach.library("collections", "OrderedDict", "OrderedDict")
        return named(parts, class_name(base))

    def _named(self, items: Iterable[tuple[str, Tree]]) -> Call:
        """``nn.Sequential`` of layers by name, without those that return their input."""
        kept = ((n, tree) for n, tree in items if tree != Call("nn.Identity") or n in self.reach.attributes)
        self.reach.library("collections", "OrderedDict", "OrderedDict")
        return named(OrderedDict(kept), "nn.Sequential")

    def _store(self, place: str, module: nn.Module) -> None:
        prefix = f"{place}." if place else ""
        for name in sorted(module._non_persistent_buffers_set):
            if (tensor := module._buffers.get(name)) is not None and self._keeps(module, name):
                self.stored[prefix + name] = tensor
        reads = self._reads(module)
        for name, value in module.__dict__.items():
            if isinstance(value, Tensor) and name in reads:
                self.stored[prefix + name] = value


def _flat(classes: Classes, module: nn.Module) -> dict[str, Any]:
    return classes.members[id(module)].flat


def _of_class(module: nn.Module) -> dict[str, Any]:
    """Settings that the classes of an instance hold for it, outermost base first."""
    found: dict[str, Any] = {}
    for cls in reversed(type(module).__mro__):
        if not is_torch(cls) and cls is not object:
            found |= {n: v for n, v in cls.__dict__.items() if not n.startswith("__") and is_literal(v)}
    return {name: value for name, value in found.items() if name not in module.__dict__}


def _different(instances: list[list[Line]]) -> set[str]:
    """The modules in a class that are arguments as a whole, because they differ in more than values."""
    first = instances[0]
    return {
        line.part
        for place, line in enumerate(first)
        if line.part and len({skeleton(lines[place].tree) for lines in instances}) > 1
    }


def _values(line: Line, whole: set[str]) -> list[Tree]:
    return [line.tree] if line.part in whole else list(leaves(line.tree))


def _renamed(tree: Tree, slot: str) -> Tree:
    return dataclasses.replace(tree, slot=slot) if isinstance(tree, Leaf) else tree


def _as_arguments(columns: list[tuple[Tree, ...]], arguments: dict[tuple[Tree, ...], str]) -> Iterator[Tree]:
    for column in columns:
        name, first = arguments.get(tuple(column)), column[0]
        kind, slot = (first.type, first.slot) if isinstance(first, Leaf) else ("nn.Module", "")
        yield first if name is None else Leaf(name, kind, slot)


def _height(module: nn.Module) -> int:
    return 1 + max((_height(child) for child in module.children()), default=0)


def _check(module: nn.Module, place: str) -> None:
    name = f"{type(module).__name__} at {place or 'the top'}"
    if any(getattr(module, hooks) for hooks in HOOKS) or "forward" in module.__dict__:
        raise WrongInputError(f"model.py cannot be written: {name} has a hook, which is not in its source. Remove it.")
    if parametrize.is_parametrized(module):
        raise WrongInputError(
            f"model.py cannot be written: {name} is parametrized. Take torch.nn.utils.parametrize."
            "remove_parametrizations first, with leave_parametrized=True."
        )
