"""What a candidate is worth and what it costs.

Knows nothing of search spaces, of training or of the search: it measures any ``nn.Module`` on tensors.
"""

from objectives import accuracy, costs, robust_accuracy
from objectives.objective import OBJECTIVES, Candidate, Objective, cost

__all__ = ["OBJECTIVES", "Candidate", "Objective", "accuracy", "cost", "costs", "robust_accuracy"]
