"""Exports as models of Hugging Face's hub, by the mix-in of ``huggingface_hub``, an optional dependency.

A repository of the hub is the folder of an export, file by file; what is downloaded is data and is checked as any
export is. Example: ``HubNetwork.from_pretrained("knee").push_to_hub("me/knee")``; anybody then has it by
``HubNetwork.from_pretrained("me/knee")``.
"""

import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from nas.errors import WrongInputError, regular, user_input
from nas.export.bundle import SUMS, check_sums, load, read_sums

PACKAGE = "huggingface_hub"


class FoldersAlone:
    """What stands for the mix-in where it is not installed."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, **options: Any) -> Self:
        """The network in a folder."""
        return cls._from_pretrained(model_id=str(folder))  # type: ignore[attr-defined, no-any-return]

    def save_pretrained(self, folder: str | Path) -> None:
        """Copies the export into a folder."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._save_pretrained(Path(folder))  # type: ignore[attr-defined]

    def push_to_hub(self, name: str, **options: Any) -> None:
        """Refused."""
        raise _not_installed()


def _not_installed() -> WrongInputError:
    return WrongInputError(f"the hub takes {PACKAGE}: pip install 'mixing-nas[hub]'. Name a folder, or install it.")


MIXIN: Any = import_module(PACKAGE).PyTorchModelHubMixin if find_spec(PACKAGE) else FoldersAlone


class HubNetwork(nn.Module, MIXIN):  # type: ignore[misc]
    """An exported network, (B, C, H, W) in [0, 1] -> logits, with ``from_pretrained`` and ``push_to_hub``.

    Args:
        directory: of the export.

    Raises:
        WrongInputError, UntrustedError: as `nas.load`.
    """

    def __init__(self, directory: str | Path) -> None:
        super().__init__()
        self.directory = Path(directory)
        self.network = load(self.directory)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x)
        return y

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Self:
        """The network of a folder, without the net, or of a repository, which is downloaded."""
        if Path(model_id).is_dir():
            return cls(model_id)
        if MIXIN is FoldersAlone:
            raise _not_installed()
        names = ("revision", "cache_dir", "force_download", "token", "local_files_only")
        wanted = {name: options[name] for name in names if name in options}
        return cls(import_module(PACKAGE).snapshot_download(repo_id=model_id, **wanted))

    def _save_pretrained(self, save_directory: Path) -> None:
        """Copies the files of the export that have a checksum, and these."""
        check_sums(self.directory)
        with user_input(str(save_directory)):
            for name in (*read_sums(self.directory), SUMS):
                (save_directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(regular(self.directory / name), save_directory / name)
