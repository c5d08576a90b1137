"""``model.pte``: a program of ExecuTorch for phones and small devices, by its XNNPACK backend; one image at a time.

Memory is planned before it runs, so that a program has one batch, and here that is 1. Written only where it is named:
the package is large, and lowering a network takes as long as all other forms together.
"""

from pathlib import Path
from typing import ClassVar

import torch

from nas.export.formats.format import Format, Taken, bundle_format, quiet, refusing
from nas.store.files import write_atomically


@bundle_format
class ExecuTorch(Format):
    """A program of operators of ExecuTorch, float32."""

    name = "executorch"
    folds = True
    usual = False
    files: ClassVar[tuple[str, ...]] = ("model.pte",)
    needs: ClassVar[tuple[str, ...]] = ("executorch",)
    extra = "executorch"
    runner = """
import torch
from executorch.runtime import Runtime

torch.set_num_threads(1)
program = Runtime.get().load_program(folder + "/model.pte")
method = program.load_method("forward")


def run(images):
    each = [torch.from_numpy(images[i : i + 1]) for i in range(len(images))]
    return np.concatenate([method.execute([image])[0].numpy().copy() for image in each])
"""

    def write(self, taken: Taken, folder: Path) -> None:
        with quiet("torch.utils._pytree", "torchao"), refusing("ExecuTorch"):
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower

            one = torch.export.export(taken.program.module(), (torch.zeros(1, *taken.shape),), strict=False)
            lowered = to_edge_transform_and_lower(one, partitioner=[XnnpackPartitioner()])
            content = lowered.to_executorch().buffer
        write_atomically(folder / self.files[0], bytes(content))
