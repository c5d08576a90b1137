"""``model.pt2``: the graph and weights as `torch.export` stores them; runs with torch alone.

``torch.export.load("model.pt2").module()`` is the network. The archive holds no pickle: its sample input is left out.
"""

import zipfile
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import torch

from nas.export.formats.format import Format, Taken, bundle_format, refusing
from nas.export.formats.graph import TORCH_COSTS
from nas.store.files import write_atomically


@bundle_format
class TorchExport(Format):
    """A graph of torch's operators."""

    name = "pt2"
    folds = True
    files: ClassVar[tuple[str, ...]] = ("model.pt2",)
    runtime = "torch"
    runner = f"""
import torch

torch.set_num_threads(1)
module = torch.export.load(folder + "/model.pt2").module()


def run(images):
    with torch.no_grad():
        return module(torch.from_numpy(images)).numpy()


{TORCH_COSTS}

def costs(shape):
    return torch_costs(module, shape)
"""

    def write(self, taken: Taken, folder: Path) -> None:
        content = BytesIO()
        with refusing("torch.export"):
            torch.export.save(taken.program, content)
        with zipfile.ZipFile(content) as archive:
            if any(member.file_size for member in archive.infolist() if member.filename.endswith(".pt")):
                raise ValueError(f"torch {torch.__version__} puts pickles into it. Install torch 2.9 or newer")
        write_atomically(folder / self.files[0], content.getvalue())
