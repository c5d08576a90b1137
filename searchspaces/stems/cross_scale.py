"""RaftMLP's stem: patches of several sizes around the same centres, ``(B, C, H, W) -> (B, dim, H', W')``."""

from dataclasses import dataclass

from searchspaces.architecture import Stem, spec
from searchspaces.layers.cross_scale import CrossScale


@spec("cross_scale")
@dataclass(frozen=True)
class CrossScaleStem(Stem, CrossScale):
    """Patches of several sizes, embedded together; published with kernels (4, 8)."""
