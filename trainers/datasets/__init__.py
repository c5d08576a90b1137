"""Data sets, one per file: where the files lie, how they are read, and which augmentations suit them."""

from trainers.datasets import cifar10, digits, fashion_mnist, folder, npz

__all__ = ["cifar10", "digits", "fashion_mnist", "folder", "npz"]
