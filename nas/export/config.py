"""``config.json`` of an export: what the network is, takes and returns, for readers that lack this framework."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nas.problem import network_of
from nas.settings import Settings, Table
from nas.store.records import TrialRecord
from searchspaces.registry import brief
from trainers import DATASETS, Dataset
from trainers.windows import SeriesWindows

CONFIG = "config.json"
FORMAT, READ = 2, (1, 2)
"""Version of the file that is written, and those that are read; 1 had no seeds (`nas.export.seeds`)."""
PRIVATE = ("location", "root", "path", "folder", "file")
"""Options of data sets that say where somebody's files lie."""


def config_of(record: TrialRecord, settings: Settings) -> dict[str, Any]:
    """The content of ``config.json``; nothing in it says who made the export, or where."""
    kind, data = DATASETS.get(settings.data.name, Dataset), settings.data
    network = network_of(record)
    classes = data.classes if isinstance(network.outputs, int) and data.classes else None
    options = unlocated(data.options)
    return {
        "format": FORMAT,
        "name": f"{settings.name}, trial {record.number}",
        "architecture": record.architecture,
        "input": {
            "of": kind.things,
            "layout": "BCHW",
            "shape": list(network.input),
            "range": None if issubclass(kind, SeriesWindows) else [0, 1],
        },
        "output": "logits" if isinstance(network.outputs, int) else "values",
        "classes": classes,
        "preprocessing": {"data": data.name, "resolution": data.resolution, "options": options, "normalize": "inside"},
        "license": {"weights": None, "data": None, "code": "MIT"},
        "versions": versions("mixing-nas", "torch") | {"python": platform.python_version()},
    }


def versions(*packages: str) -> dict[str, str]:
    """Package -> its version, of those that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def unlocated(options: Table) -> Table:
    """Options of a data set without those that say where its files lie."""
    kept = {}
    for name, value in options.items():
        if name in PRIVATE or (isinstance(value, str) and Path(value).is_absolute()):
            continue
        kept[name] = unlocated(value) if isinstance(value, dict) else value
    return kept


def published(table: Table) -> Table:
    """The tables of a study as an export carries them: what the network is made and measured by, and no place."""
    told = {name: value for name, value in table.items() if name not in ("execution", "limits", "export")}
    told["data"] = unlocated(table["data"])
    search = {name: value for name, value in table.get("search", {}).items() if name not in ("earlier", "first")}
    return told | ({"search": search} if search else {})


def read_config(text: str) -> Any:
    """The content of ``config.json``, or of a file that holds nothing but an architecture.

    Raises:
        ValueError: if it is no JSON, or of another version.
    """
    content = json.loads(text)
    if isinstance(content, dict) and "architecture" in content and content.get("format") not in READ:
        raise ValueError(
            f"its format is {brief(content.get('format'))}, and this version reads formats {READ[0]} to {READ[-1]}. "
            "Load it with the version of mixing-nas that wrote it, or export again"
        )
    return content


def read_document(text: str) -> Any:
    """The architecture in the text of ``config.json``, or of a file that holds nothing but an architecture.

    Raises:
        ValueError: if it is no JSON, or of another version.
    """
    content = read_config(text)
    return content["architecture"] if isinstance(content, dict) and "architecture" in content else content
