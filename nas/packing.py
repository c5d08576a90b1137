"""Which share of a GPU a trial needs: its memory is known before it is trained.

Checked on an H200 (`studies/README.md`): trainings of random networks of every space, captured, attacked and measured,
reserved at most 230 MB more than their weights, gradients, moments and activations, and their process 0.91 GB besides.
"""

import math

import numpy as np

from nas.pricing import price
from nas.trial import GPU_CONTEXT, TrialPlan
from objectives.accuracy import BATCH
from objectives.memory import training_bytes
from searchspaces import Architecture
from trainers import TrainingData

WORKSPACES = 300_000_000
"""Bytes that libraries take for themselves, and what captured steps hold twice."""
SAFETY = 1.15
"""For what lies between pieces of memory in use."""
MOMENTS = 4
"""Numbers kept for each trained parameter at most: two of AdamW, an average of the weights, a step of SAM."""
FINEST = 1000
"""A share is a multiple of one part in so many."""


def gpu_bytes(plan: TrialPlan, data: TrainingData) -> int | None:
    """Bytes of a GPU that a trial takes at most, its process included; None if its trainer does not say how many images
    it has at a time.

    Activations are those in float32, of a batch or of the images that are attacked at a time.
    """
    batch = plan.trainer.images_at_a_time
    if batch is None:
        return None
    priced = price(Architecture.from_json(plan.architecture))
    working = training_bytes(priced.counts, priced.kept, max(batch, BATCH), MOMENTS)
    train, validation = data.train.images, data.validation.images
    stored = train.nbytes if isinstance(train, np.ndarray) else 0
    stored += 4 * validation.size if isinstance(validation, np.ndarray) else 0
    return GPU_CONTEXT + WORKSPACES + math.ceil(SAFETY * working) + stored


def gpu_share(plan: TrialPlan, data: TrainingData, memory: int) -> float:
    """Share of a GPU of ``memory`` bytes for a trial: all of it if it needs that much, or if that is not known."""
    needed = gpu_bytes(plan, data)
    if needed is None:
        return 1.0
    return min(1.0, math.ceil(FINEST * needed / memory) / FINEST)
