"""What a candidate is worth and what it costs.

Knows nothing of search spaces, of training or of the search: it measures any ``nn.Module`` on tensors.
"""

from objectives import accuracy, attacks, balanced_accuracy, costs, robust_accuracy
from objectives.objective import OBJECTIVES, Candidate, Objective, as_settings, as_value, to_minimise

__all__ = [
    "OBJECTIVES",
    "Candidate",
    "Objective",
    "accuracy",
    "as_settings",
    "as_value",
    "attacks",
    "balanced_accuracy",
    "costs",
    "robust_accuracy",
    "to_minimise",
]
