"""Stems, one per file: pixels ``(B, C, H, W)`` to the grid of tokens of the first stage."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
