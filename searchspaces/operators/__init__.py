"""Mixing operators, one per file: the spec, its module and which parameters mix space or channels."""

from searchspaces.operators import depthwise, pointwise

__all__ = ["depthwise", "pointwise"]
