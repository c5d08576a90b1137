"""Which architectures exist, and how one becomes an ``nn.Module``.

Knows nothing of training, of objectives or of the search.
"""

from searchspaces import heads, operators, spaces, stems
from searchspaces.architecture import Architecture, Shape, Stage
from searchspaces.network import Network, build
from searchspaces.space import SEARCH_SPACES, Choice, Picks, SearchSpace, Value

__all__ = [
    "SEARCH_SPACES",
    "Architecture",
    "Choice",
    "Network",
    "Picks",
    "SearchSpace",
    "Shape",
    "Stage",
    "Value",
    "build",
    "heads",
    "operators",
    "spaces",
    "stems",
]
