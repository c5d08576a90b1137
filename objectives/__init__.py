"""What a candidate is worth and what it costs.

Knows nothing of search spaces, of training or of the search: it measures any ``nn.Module`` on tensors.
"""

from objectives import accuracy, attacks, costs, robust_accuracy
from objectives.objective import OBJECTIVES, Candidate, Goal, Objective, as_settings, as_value, to_minimise

__all__ = [
    "OBJECTIVES",
    "Candidate",
    "Goal",
    "Objective",
    "accuracy",
    "as_settings",
    "as_value",
    "attacks",
    "costs",
    "robust_accuracy",
    "to_minimise",
]
