"""A network as plain PyTorch source."""

from nas.export.source.model import Model, inlined, model_source, model_state

__all__ = ["Model", "inlined", "model_source", "model_state"]
