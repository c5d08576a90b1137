"""Which candidate comes next, and who runs it.

Importing a submodule puts this package where the function `nas.search` was, so the package can be called like it.
"""

import sys
from types import ModuleType


class _CallablePackage(ModuleType):
    """A package that runs a study when it is called: ``nas.search("study.toml")``."""

    __call__ = staticmethod(sys.modules["nas"].search)


sys.modules[__name__].__class__ = _CallablePackage
