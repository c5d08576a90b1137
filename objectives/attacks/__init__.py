"""Adversarial attacks, one a file, behind one contract."""

from importlib import import_module
from pkgutil import iter_modules

from objectives.attacks.attack import ATTACKS, Attack, attack, find_attack, make_attack, radius

__all__ = ["ATTACKS", "Attack", "attack", "find_attack", "make_attack", "radius"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
