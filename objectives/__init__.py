"""What a candidate is worth and what it costs: one objective a file.

Knows nothing of search spaces, of training or of the search: it measures any ``nn.Module`` on tensors.
"""

from importlib import import_module
from pkgutil import iter_modules

from objectives.objective import (
    OBJECTIVES,
    Candidate,
    Estimate,
    Goal,
    Objective,
    Surrogate,
    Timing,
    as_settings,
    as_value,
    to_minimise,
)

__all__ = [
    "OBJECTIVES",
    "Candidate",
    "Estimate",
    "Goal",
    "Objective",
    "Surrogate",
    "Timing",
    "as_settings",
    "as_value",
    "to_minimise",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
