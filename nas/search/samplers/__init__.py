"""Proposing candidates: one sampler a file behind one contract."""

from nas.search.samplers import front, optuna, random
from nas.search.samplers.sampler import SAMPLERS, Proposal, Sampler, open_sampler, sampler

__all__ = ["SAMPLERS", "Proposal", "Sampler", "front", "open_sampler", "optuna", "random", "sampler"]
