"""Mixing operators, one per file: the spec, its module, its cost, and which parameters mix space or channels."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
