"""Published recipes by name: settings of the supervised trainer that a study or ``nas train`` starts from.

``[training] preset = "convmixer"``; other keys override it. The large-scale recipes leave out what this
trainer does not have (mixed precision by loss scaling); the small ones suit ten thousand images.
"""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # locuslab/convmixer-cifar10: ConvMixer-256/8 k5 p2, 92.6 % on CIFAR-10 after 25 epochs.
    "convmixer": {
        "epochs": 25,
        "batch_size": 512,
        "learning_rate": 0.05,
        "weight_decay": 0.005,
        "schedule": "triangle",
        "warmup": 0.4,
        "operations": 2,
        "magnitude": 10.0,
    },
    # Small scale of 2503.16760: the same schedule for every freeze pattern.
    "spatial_mixing": {
        "epochs": 20,
        "batch_size": 64,
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "schedule": "one_cycle",
        "warmup": 0.2,
    },
    # 2507.10999, SpaRTAN-T on ImageNet-1k.
    "spartan": {
        "epochs": 300,
        "batch_size": 2048,
        "learning_rate": 2.5e-3,
        "weight_decay": 0.03,
        "schedule": "cosine",
        "warmup": 20 / 300,
        "clip_norm": 0.0,
        "crop": 0.08,
        "operations": 2,
        "magnitude": 7.0,
        "erase": 0.25,
        "mixup": 0.2,
        "cutmix": 1.0,
    },
    "spartan_small": {
        "epochs": 20,
        "batch_size": 128,
        "learning_rate": 2e-3,
        "weight_decay": 0.03,
        "schedule": "cosine",
        "warmup": 0.1,
    },
    # 2402.18007: rate 2.5e-4, decaying after epoch 5; the rest is that of AST on Speech Commands, whose mixup takes six
    # in ten clips, by Beta(10, 10), of their waves.
    "asm_rh": {
        "epochs": 30,
        "batch_size": 128,
        "learning_rate": 2.5e-4,
        "weight_decay": 5e-7,
        "beta1": 0.95,
        "schedule": "exponential",
        "warmup": 5 / 30,
        "mixup": 10.0,
        "mix_rate": 0.6,
        "mix_each": True,
        "mix_sounds": True,
        "bce": True,
        "mask_mel": 48,
        "mask_frames": 48,
        "clip_norm": 0.0,
    },
    "asm_rh_small": {
        "epochs": 30,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup": 0.1,
    },
    # 2306.01470 leaves its rates open; Mixer on ImageNet as in HazyResearch/fly, and the small scale.
    "mixer": {
        "epochs": 310,
        "batch_size": 1024,
        "learning_rate": 2e-3,
        "weight_decay": 0.1,
        "schedule": "cosine",
        "warmup": 10 / 310,
        "crop": 0.08,
        "operations": 2,
        "magnitude": 10.0,
        "mixup": 0.5,
        "label_smoothing": 0.1,
    },
    "wide_sparse": {
        "epochs": 20,
        "batch_size": 64,
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "schedule": "one_cycle",
        "warmup": 0.2,
    },
}
"""Name -> settings of `Supervised`."""
