"""Search spaces, one per file: its choices and the function from picks to an architecture."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
