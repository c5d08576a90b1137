"""Studies that are part of the package, by name: in the repository they are in ``studies/``, to which links lead.

``nas search NAME`` runs one where no file of that name exists, ``nas new NAME`` writes a copy to start from.
"""

import os
from pathlib import Path

FOLDER = Path(__file__).parent


def _named(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


PRESETS = _named(FOLDER)
"""Name -> file of a study to search with."""
CLAIMS = _named(FOLDER / "claims")
"""Name -> file of an ablation that puts a claim of a paper to the test."""


def study_file(path: Path) -> Path:
    """The path, or the file of the preset of that name where nothing exists at the path."""
    return path if os.path.exists(path) else PRESETS.get(str(path), path)  # Path.exists raises for long names


def summary(path: Path) -> str:
    """The first sentence of the comment with which the file of a preset begins."""
    words = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        words.append(line.lstrip("# "))
    text = " ".join(words)
    return text.partition(". ")[0].removesuffix(".") + "."
