"""Data sets, one per file: where the files are, how they are read, and which augmentations suit them."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
