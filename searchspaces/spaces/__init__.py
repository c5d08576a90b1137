"""Search spaces, one per file: its choices and the function from picks to an architecture."""

from searchspaces.spaces import convmixer

__all__ = ["convmixer"]
