"""The classes of the modules of a network: one for all instances that differ in values alone."""

import dataclasses
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from keyword import iskeyword
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
    lines: dict[int, list[Line]] = field(default_factory=dict)
    """The constructor of each instance; the expressions of its parts are still to be found."""
    given: dict[int, tuple[str, list[tuple[str, Leaf]], list[str]]] = field(default_factory=dict)
    """Class of each instance, its arguments that are values, and names of the parts that are arguments."""
    places: dict[int, str] = field(default_factory=dict)
    stored: dict[str, Tensor] = field(default_factory=dict)
    """Tensors that the network's state dict lacks and its forward pass reads."""

    def __post_init__(self) -> None:
        places = dict(self.network.named_modules(remove_duplicate=False))
        for place, module in places.items():
            _check(module, place)
        own = {id(module): module for module in places.values() if is_own(module)}
        self.places = {id(module): place for place, module in places.items()}
        self._find_members(list(own.values()))
        self._write_all(list(own.values()))
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

    def _write_all(self, modules: list[nn.Module]) -> None:
        """Writes the classes of modules, and finds the call that makes each, those of the parts first."""
        height = {id(module): _height(module) for module in modules}
        apart = [m for m in modules if m is self.network or not chain(self.members[id(m)])]
        early = self._groups([m for m in apart if not issubclass(base_of(type(m)), CONTAINERS)])
        for level in sorted(set(height.values())):
            now = [module for module in modules if height[id(module)] == level]
            late = self._groups([m for m in now if m in apart and issubclass(base_of(type(m)), CONTAINERS)])
            for group in [*early, *late]:
                if level == min(height[id(module)] for module in group):
                    self._write(group, one_level=len({height[id(module)] for module in group}) == 1)
            for module in now:
                self.calls[id(module)] = self._call(module)

    def _groups(self, modules: list[nn.Module]) -> list[list[nn.Module]]:
        """The modules that are of one class, because they differ in values and parts alone."""
        groups: dict[Any, list[nn.Module]] = {}
        for module in modules:
            lines = self.lines[id(module)] = list(self._lines(module))
            texts = tuple(self.members[id(module)].texts.items())
            shape = tuple((line.before, line.part or skeleton(line.tree), line.after) for line in lines)
            groups.setdefault((type(module), texts, shape), []).append(module)
        return list(groups.values())

    def _write(self, group: list[nn.Module], *, one_level: bool) -> None:
        """Writes the class of some modules.

        Args:
            one_level: the parts of all of them are written; else only those that are torch's own.
        """
        first = group[0]
        known = {line.part for line in self.lines[id(first)] if one_level or self._of_torch(group, line.part)}
        full = [[self._filled(m, line) if line.part in known else line for line in self.lines[id(m)]] for m in group]
        whole = _different(full, known)
        values = [[v for line in lines if line.part not in whole for v in leaves(line.tree)] for lines in full]
        columns = list(zip(*values, strict=True))
        arguments = argument_names(columns, {"self", *whole})
        chosen = iter(_as_arguments(columns, arguments))
        lines = [
            dataclasses.replace(
                line, tree=Leaf(line.part, "nn.Module") if line.part in whole else filled(line.tree, chosen)
            )
            for line in full[0]
        ]
        name = self.reach.unused(type(first).__name__.lstrip("_"))
        buffers = [n for n in first._buffers if any(f'"{n}"' in line.before for line in lines)]
        types = [*argument_types(arguments), *((part, "nn.Module") for part in whole)]
        methods = _in_order(type(first), self.members[id(first)].texts)
        self.written.append(Written(name, type(first), lines, types, methods, buffers))
        for number, module in enumerate(group):
            given = [(argument, column[number]) for column, argument in arguments.items()]
            self.given[id(module)] = (name, given, whole)

    def _of_torch(self, group: list[nn.Module], part: str) -> bool:
        """Whether a part of all modules of a group holds none of our own modules."""
        inside = (inner for module in group if part for inner in module._modules[part].modules())  # type: ignore[union-attr]
        return not any(id(inner) in self.members for inner in inside)

    def _filled(self, module: nn.Module, line: Line) -> Line:
        """The line with the expression of its part."""
        child, place = module._modules.get(line.part), self.places[id(module)]
        if not line.part or child is None:
            return line
        return dataclasses.replace(line, tree=self._module(child, f"{place}.{line.part}" if place else line.part))

    def _call(self, module: nn.Module) -> Call:
        """What makes a module whose class, and the parts of it, are written."""
        members, place = self.members[id(module)], self.places[id(module)]
        if id(module) not in self.given:
            return self._named((n, self._module(c, f"{place}.{n}")) for n, c in chain(members))
        name, values, whole = self.given[id(module)]
        arguments: list[tuple[str, Tree]] = [
            (argument, dataclasses.replace(v, slot=argument)) for argument, v in values
        ]
        parts = {line.part: line for line in self.lines[id(module)] if line.part in whole}
        arguments += [(part, self._filled(module, parts[part]).tree) for part in whole]
        shown = len(arguments) > 2
        return Call(name, tuple(Argument(tree, argument if shown else "") for argument, tree in arguments))

    def _lines(self, module: nn.Module) -> Iterator[Line]:
        """The constructor of a class as it makes one instance."""
        base, reads, place = base_of(type(module)), self._reads(module), self.places[id(module)]
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
                simple = name.isidentifier()
                before = f"self.{name} = " if simple else f'self.add_module("{name}", '
                yield Line(before, Raw(""), "" if simple else ")", name)

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
        kept = [(n, tree) for n, tree in items if tree != Call("nn.Identity") or n in self.reach.attributes]
        self.reach.library("collections", "OrderedDict", "OrderedDict")
        if all(name.isidentifier() and not iskeyword(name) for name, _ in kept):
            return Call("named", tuple(Argument(tree, name) for name, tree in kept))
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


def _in_order(cls: type, texts: dict[str, str]) -> list[str]:
    """Methods as they stand in the source."""
    defined = [name for one in cls.__mro__ for name in one.__dict__]
    return [texts[name] for name in sorted(texts, key=lambda n: defined.index(n) if n in defined else len(defined))]


def _different(instances: list[list[Line]], known: set[str]) -> list[str]:
    """The parts of a class that are arguments, because they differ in more than values, or may."""
    return [
        line.part
        for place, line in enumerate(instances[0])
        if line.part and (line.part not in known or len({skeleton(lines[place].tree) for lines in instances}) > 1)
    ]


def _as_arguments(columns: list[tuple[Leaf, ...]], arguments: dict[tuple[Leaf, ...], str]) -> Iterator[Leaf]:
    for column in columns:
        name = arguments.get(tuple(column))
        yield column[0] if name is None else Leaf(name, column[0].type, column[0].slot)


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
