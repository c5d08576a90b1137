"""Which architectures exist, and how one becomes an ``nn.Module``.

Knows nothing of training, of objectives or of the search.
"""

from searchspaces import blocks, diagnostics, downsamples, heads, operators, spaces, stems
from searchspaces.architecture import Architecture, Shape, Stage, Value
from searchspaces.costs import Cost, NoFormulaError
from searchspaces.network import Network, build
from searchspaces.parts import Part, architecture_cost, parts
from searchspaces.space import SEARCH_SPACES, Choice, Picks, SearchSpace

__all__ = [
    "SEARCH_SPACES",
    "Architecture",
    "Choice",
    "Cost",
    "Network",
    "NoFormulaError",
    "Part",
    "Picks",
    "SearchSpace",
    "Shape",
    "Stage",
    "Value",
    "architecture_cost",
    "blocks",
    "build",
    "diagnostics",
    "downsamples",
    "heads",
    "operators",
    "parts",
    "spaces",
    "stems",
]
