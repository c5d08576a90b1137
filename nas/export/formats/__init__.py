"""Forms in which an exported network runs without this framework: one file each.

A new form is a module here with a class under `bundle_format`: what files it writes, which packages that takes, and the
source of ``run`` for a process that has none of this project's packages. `nas.export.proof` proves every form alike.
"""

from importlib import import_module
from pkgutil import iter_modules

from nas.export.formats.format import FORMATS, Format, Taken, front_end_of, missing

__all__ = ["FORMATS", "Format", "Taken", "front_end_of", "missing"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
