"""Proposing candidates: one sampler a file behind one contract."""

from nas.search.samplers import evolution, front, optuna, random
from nas.search.samplers.sampler import SAMPLERS, Proposal, Sampler, open_sampler, sampler

__all__ = ["SAMPLERS", "Proposal", "Sampler", "evolution", "front", "open_sampler", "optuna", "random", "sampler"]
