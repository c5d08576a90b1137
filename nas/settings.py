"""The study file: what a user asks for, checked key by key, and written back resolved.

Tables whose keys belong to a leaf (``[training]``, ``[objective.NAME]``, ``[space]``, the options of ``[data]``) are
checked against the class or function that they configure, so that a setting is declared once, where it is used. Types
are checked by pydantic.
"""

import dataclasses
import hashlib
import inspect
import json
import math
import tomllib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import tomli_w
from pydantic import TypeAdapter, ValidationError

from nas.errors import WrongInputError, user_input
from nas.plugins import FOLDER, Plugin, load_plugins
from nas.presets import PRESETS, study_file
from nas.store.files import LONGEST_PATH, check_path, read_text, write_atomically
from nas.store.records import SCHEMA, brief, refusal
from objectives import Goal
from searchspaces.architecture import check_shape
from searchspaces.registry import unknown
from trainers import DATASETS
from trainers.dataset import check_idle, check_most

T = TypeVar("T")
Table = dict[str, Any]

LARGEST, LARGEST_FLOAT = 10**15, 1e38
"""Largest whole number and largest other number in a study: no count comes near the one, float32 ends at the other."""
DEEPEST = 20
"""Tables and lists in each other."""
LARGEST_FILE = 10_000_000
"""Bytes of a study file."""
LONGEST = 10**9
"""Seconds, thirty years: the timers of the system take them. As many GB are more than any disk has."""
SEEDS = 2**32
"""Seeds are below it: NumPy and scikit-learn take no others."""


@dataclass(frozen=True)
class DataSettings:
    """``[data]``; keys that are not named here are options of the data set, such as ``location`` or ``speaker``.

    Args:
        name: data set (see `nas data`), or the shorthand ``name:location,option=value``.
        limit: number of images of the training set to use, validation included.
        validation: share of them kept for validation; 0, in `nas train` only, to train on all.
        resolution: sides in pixels to which images are resized, because fewer pixels train faster; unset: as they are.
        checksum: of the images used; written at the first start, so that a study never continues with other data.
        input: (C, H, W) of one image, and
        classes: names of the classes, or
        outputs: (C, H, W) of what is learnt where that is no class; written at the first start like ``input``, so that
            a study knows its shape without data.
        options: of the data set, by name.
    """

    name: str = "digits"
    limit: int | None = None
    validation: float = 0.2
    resolution: int | None = None
    checksum: str | None = None
    input: tuple[int, int, int] | None = None
    classes: list[str] | None = None
    outputs: tuple[int, int, int] | None = None
    options: Table = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 2:
            raise ValueError(f"limit must be at least 2 images, got {self.limit}.")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation must be a share from 0 to less than 1, got {self.validation}.")
        if self.resolution is not None and self.resolution < 1:
            raise ValueError(f"resolution must be at least 1 pixel, got {self.resolution}.")
        check_most(self, resolution=4096)
        for name, shape in (("input", self.input), ("outputs", self.outputs)):
            if shape is not None:
                check_shape(name, shape)
        if self.classes is not None and not self.classes:
            raise ValueError("classes must name at least one class.")

    @property
    def label(self) -> str:
        """The data set with its options in one word, for a person: ``fsdd:speaker=theo``."""
        options = dict(self.options)
        given = options.pop("given", {})  # options of the data set that this one is derived from
        options = {key: value for key, value in options.items() if not isinstance(value, list | tuple)}  # too long
        place = ":".join(filter(None, (str(options.pop(key, "")) for key in ("source", "location"))))
        words = [f"{key}={value}" for table in (given, options) for key, value in sorted(table.items())]
        return ":".join(filter(None, [self.name, ",".join(filter(None, [place, *words]))]))

    @property
    def part_seed(self) -> int:
        """Seed of the part of the images that expensive objectives measure on: the same for all trials of a study."""
        return int.from_bytes(hashlib.blake2b((self.checksum or "").encode(), digest_size=4).digest()) >> 1


DATA_KEYS = {field.name for field in dataclasses.fields(DataSettings)} - {"options"}
"""Keys of ``[data]`` that are not options of the data set."""


@dataclass(frozen=True)
class RungSettings:
    """``[search.rungs]``: short trainings first, and longer ones for those that deserve them (`nas.search.rungs`).

    Args:
        epochs: of every rung, ascending; the last is that of ``[training]``.
        data: share of the training samples on every rung, ascending up to 1; unset: all on each. Epochs may then stay
            the same from a rung to the next.
        form: ``whole``: each rung is a training of its own with its whole schedule of learning rates; ``continued``:
            the training of the last rung, paused at the epochs of the others and continued from there.
        brackets: rungs on which new networks may begin (Hyperband); 1 for the first alone.
    """

    epochs: list[int]
    data: list[float] | None = None
    form: Literal["whole", "continued"] = "whole"
    brackets: int = 1

    def __post_init__(self) -> None:
        rising = sorted(self.epochs if self.data else set(self.epochs))
        if len(self.epochs) < 2 or self.epochs[0] < 1 or rising != self.epochs:
            raise ValueError(f"epochs must be at least two numbers from 1, ascending, got {self.epochs}.")
        if self.data is not None:
            self._check_data(self.data)
        check_most(self, brackets=len(self.epochs))
        if self.brackets < 1:
            raise ValueError(f"brackets must be at least 1, got {self.brackets}.")

    def _check_data(self, data: list[float]) -> None:
        shares = all(0 < share <= 1 for share in data)
        if len(data) != len(self.epochs) or not shares or data[-1] != 1 or sorted(data) != data:
            raise ValueError(
                f"data must be a share in (0, 1] for each of the {len(self.epochs)} rungs, ascending up to 1, got "
                f"{data}."
            )
        if len(set(self.lengths)) != len(data):
            raise ValueError(
                f"each rung must train longer or on more data than the one before, got epochs {self.epochs} and data "
                f"{data}."
            )
        if self.form == "continued":
            raise ValueError(
                'data must be left out with form "continued": a training keeps the samples that it began with.'
            )

    @property
    def shares(self) -> list[float]:
        """Of the training samples, on every rung."""
        return self.data or [1.0] * len(self.epochs)

    @property
    def lengths(self) -> list[float]:
        """Of the trainings on every rung, in epochs of all samples."""
        return [epochs * share for epochs, share in zip(self.epochs, self.shares, strict=True)]


@dataclass(frozen=True)
class SearchSettings:
    """``[search]``.

    Args:
        sampler: that proposes (`nas.search.samplers.SAMPLERS`).
        options: passed on to the sampler, for example ``population_size``.
        rungs: lengths of trainings; unset: every network is trained whole.
        replicates: let a sampler that can weigh it propose to train a network of the front again, with another seed.
        earlier: study directories whose trials the sampler knows; they are no trials of this study.
        first: what is trained before the sampler proposes: tables of picks, whose other choices are drawn, or networks
            of the space by their names: ``DIR#TRIAL``, ``known:NAME`` or a file.
    """

    sampler: str = "front"
    options: Table = field(default_factory=dict)
    rungs: RungSettings | None = None
    replicates: bool = False
    earlier: list[str] = field(default_factory=list)
    first: list[str | dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class ExecutionSettings:
    """``[execution]``: where trials run; may change when a study continues.

    Args:
        workers: trials at the same time.
        kind: executor (`nas.search.executors.EXECUTORS`); unset: ``inline``, in this process, for one worker without
            ``ray``, else ``ray``.
        ray: ``local`` for a private Ray, or the address of a cluster (``auto``: the one on this machine); unset: a
            private one for several workers.
        cpus_per_trial: CPUs that Ray keeps for each trial, and, rounded down, its torch threads.
        gpus_per_trial: whole GPUs for each trial, or a share of one, for example 0.25, of its memory too; ``auto``: the
            share that the trial needs by its memory, which is known before it is trained.
        gpu_memory_gb: memory of the smallest GPU, in GB (10^9 bytes), for ``auto``; unset: found by asking.
        memory_gb_per_trial: memory that a trial may allocate, in GB (10^9 bytes); one that needs more ends
            ``out_of_memory`` before its neighbours suffer.
        device: where trials train; ``auto`` is the GPU if a trial has a share of one, else the CPU.
        timeout_seconds: time for one trial, counted from its own start.
        grace_seconds: time that running trials get to finish when the search is stopped.
        attempts: times that a trial is handed out whose worker dies, before it is recorded as failed.
        checkpoint_seconds: time between two checkpoints of a running training, from which a trial continues whose
            worker, machine or search was lost; 0 for none.
    """

    workers: int = 1
    kind: str | None = None
    ray: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float | Literal["auto"] = 0.0
    gpu_memory_gb: float | None = None
    memory_gb_per_trial: float | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    timeout_seconds: float | None = None
    grace_seconds: float = 30.0
    attempts: int = 3
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("workers", "attempts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("gpus_per_trial", "grace_seconds", "checkpoint_seconds"):
            if getattr(self, name) != "auto" and not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        check_most(self, workers=10_000, attempts=10_000, cpus_per_trial=10_000)
        if not (packed := self.gpus_per_trial == "auto"):
            check_most(self, gpus_per_trial=10_000)
        check_most(self, grace_seconds=LONGEST, checkpoint_seconds=LONGEST, timeout_seconds=LONGEST)
        check_most(self, memory_gb_per_trial=LONGEST, gpu_memory_gb=LONGEST)
        if self.ray is not None and not self.ray.strip():
            raise ValueError("ray must be local, auto or the address of a cluster; leave it out for none.")
        if self.kind == "inline" and (self.workers > 1 or self.ray is not None):
            raise ValueError(
                f"kind = 'inline' runs one trial at a time in this process, got workers = {self.workers}, "
                f"ray = {self.ray!r}. Leave kind out, or workers and ray."
            )
        if self.device == "cuda" and not self.gpus_per_trial and self.executor == "ray":
            raise ValueError("device = 'cuda' on Ray needs gpus_per_trial, such as 0.25 or 1.")
        if packed and self.executor == "inline":
            raise ValueError("gpus_per_trial = 'auto' is for several workers. Set workers, or gpus_per_trial = 1.")
        check_idle(self, "gpu_memory_gb", packed, "gpus_per_trial = 'auto'")
        if self.gpus_per_trial != "auto" and self.gpus_per_trial > 1 and self.gpus_per_trial % 1:
            raise ValueError(f"gpus_per_trial must be a whole number, or a share below 1, got {self.gpus_per_trial}.")
        for name in ("cpus_per_trial", "memory_gb_per_trial", "gpu_memory_gb", "timeout_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}.")

    @property
    def executor(self) -> str:
        """Name of the executor."""
        if self.kind is not None:
            return self.kind
        return "inline" if self.workers == 1 and self.ray is None else "ray"

    @property
    def where(self) -> str:
        """The torch device of a trial."""
        on_gpu = self.device == "cuda" or (self.device == "auto" and self.gpus_per_trial != 0)
        return "cuda" if on_gpu else "cpu"


@dataclass(frozen=True)
class LimitSettings:
    """``[limits]``: what ends a search besides its trials; may change when a study continues.

    Args:
        seconds: wall time of one run of the command; the next run continues for as long again.
        patience: trials in a row that may leave the front as it is.
        epochs: of training that all trials together may take; the trial that reaches it is the last.
        artifacts_gb: disk space for weights, in GB (10^9 bytes). Beyond it, weights of trials off the front are
            deleted, oldest first; those of the front never are.
    """

    seconds: float | None = None
    patience: int | None = None
    epochs: int | None = None
    artifacts_gb: float | None = None

    def __post_init__(self) -> None:
        for name, unit in (("patience", "trial"), ("epochs", "epoch")):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1 {unit}, got {getattr(self, name)}.")
        for name in ("seconds", "artifacts_gb"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must not be negative, got {value}.")
        check_most(self, seconds=LONGEST, artifacts_gb=LONGEST)


@dataclass(frozen=True)
class ExportSettings:
    """``[export]``: what a finished search exports.

    Args:
        pick: rule as of `nas export`, for example ``knee``; unset: nothing is exported.
        formats: forms besides our own, ``["python", "pt2", "onnx"]``, ``"int8"`` and ``"executorch"`` too; unset:
            the first three, where they can be written; ``[]``: none.
    """

    pick: str | None = None
    formats: list[str] | None = None


@dataclass(frozen=True)
class Settings:
    """A study file.

    Args:
        name: of the study; its directory is ``runs/<name>`` unless another is given.
        objectives: names of the objectives: registered ones, or tables ``[objective.NAME]`` with a ``kind``.
        seed: everything random follows from it.
        trials: trials to run; those count that ended complete, failed or truncated.
        space: ``kind``, the settings of that space, ``choices`` that narrow it by name, ``remove``: choices left out.
        bounds: largest value, by objective name. A candidate whose known cost is above it is never trained; one that
            is measured to be above it fails, without a training where that is measured before it, as a latency is.
        training: ``kind`` (default ``supervised``) and the settings of that trainer.
        objective: settings of the objectives, by name.
        plugins: the user's own Python files to load, relative to the study file.
        reference: reference point of the hypervolume in the objectives' own units, by name.
        prefer: what an objective must keep to be of interest, for example ``accuracy = ">=0.9"``: the sampler looks
            for such networks, the hypervolume counts them alone, and picks are among them if there are any.
    """

    name: str
    objectives: list[str]
    seed: int = 0
    trials: int = 40
    space: Table = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)
    data: DataSettings = field(default_factory=DataSettings)
    training: Table = field(default_factory=dict)
    objective: dict[str, Table] = field(default_factory=dict)
    plugins: list[str] = field(default_factory=list)
    reference: dict[str, float] = field(default_factory=dict)
    prefer: dict[str, str] = field(default_factory=dict)
    search: SearchSettings = field(default_factory=SearchSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    export: ExportSettings = field(default_factory=ExportSettings)

    def __post_init__(self) -> None:
        check_path(self.name, "name")
        if not self.name.strip() or any(c in self.name for c in "/\\") or self.name.startswith((".", "~")):
            raise ValueError(f"name must be usable as a folder name, got {self.name!r}.")
        if not self.objectives or len(set(self.objectives)) != len(self.objectives):
            raise ValueError(f"objectives must be one or more different names, got {self.objectives}.")
        if self.trials < 1:
            raise ValueError(f"trials must be at least 1, got {self.trials}.")
        if not 0 <= self.seed < SEEDS:
            raise ValueError(f"seed must be from 0 to {SEEDS - 1}, got {self.seed}.")

    def table(self) -> Table:
        """The settings as nested tables, unset values left out."""
        table = _without_none(dataclasses.asdict(self))
        table["data"] |= table["data"].pop("options")
        return table


@dataclass(frozen=True)
class Facts:
    """``[facts]`` of a resolved study: what starting it has found out, so that no plugin has to run to read it.

    Args:
        objectives: name -> what its values mean, of the objectives of the front and of those that bound it.
        plugins: name of each copy in the study's folder ``plugins`` -> SHA-256.
    """

    objectives: dict[str, Goal]
    plugins: dict[str, str] = field(default_factory=dict)


RESUMABLE = ("trials", "execution", "limits", "export", "name", "plugins")
"""Settings that may change when a study continues; any other change would mix what cannot be compared."""
DERIVED = {"data.checksum", "data.input", "data.classes", "data.outputs"}
"""Settings that follow from the seed and the other settings of the data."""
WRITTEN_OUT = (
    "training.",
    *(f"search.{field.name}" for field in dataclasses.fields(SearchSettings) if field.name != "options"),
)
"""Beginnings of settings of which a resolved study states every one: what it does not state an older version did not
know, and where that is off now all is as it was."""
STUDY = "study.toml"
"""Name of the resolved study file in a study directory."""


def differences(old: Table, new: Table) -> list[str]:
    """What differs between two resolved studies and must not, one sentence each."""
    a, b = _flat(old), _flat(new)
    changed = {key for key in a.keys() | b.keys() if key.split(".")[0] not in RESUMABLE and a.get(key) != b.get(key)}
    changed -= {key for key in changed if key not in a and not b[key] and key.startswith(WRITTEN_OUT)}
    if not changed <= DERIVED:
        changed -= DERIVED
    return [f"{key} was {_shown(a.get(key))}, now {_shown(b.get(key))}" for key in sorted(changed)]


def is_moved(old: Table, new: Table) -> bool:
    """Whether all that differs between two resolved studies, and must not, is where the same data lie."""
    a, b = _flat(old), _flat(new)
    here, there = a.pop("data.location", None), b.pop("data.location", None)
    return here != there and a.get("data.checksum") == b.get("data.checksum") and not differences(a, b)


def read_settings(path: Path, overrides: Iterable[str] = ()) -> Settings:
    """Settings of a study file, with ``KEY=VALUE`` overrides (dotted keys, TOML values or bare words) on top.

    Its plugins are run. Relative paths in the file are relative to it, those in overrides to the current folder. The
    ``study.toml`` of a study directory is a study file too.

    Raises:
        WrongInputError: naming the key, what was expected and the nearest right spelling.
    """
    table = read_table(path)
    if "schema" in table:  # a resolved study
        table = _resolved(table, path)[0]
    return settings_of(table, overrides, folder=path.parent)


def read_table(path: Path) -> Table:
    """The tables of a study file as they stand there; of a preset, where there is no such file.

    Raises:
        WrongInputError: if it cannot be read.
    """
    path = study_file(path)
    try:
        text = read_text(path, LARGEST_FILE)
    except FileNotFoundError:
        known = ", ".join(PRESETS)
        raise WrongInputError(
            f"study file {path} does not exist. Give the path of a .toml file, or the name of a preset: {known}."
        ) from None
    except (OSError, ValueError) as error:
        raise WrongInputError(f"study file {path} cannot be read: {error}.") from None
    try:
        return parse(text)
    except ValueError as error:
        raise WrongInputError(f"study file {path} is not valid TOML: {error}.") from None


def parse(text: str) -> Table:
    """The tables of a TOML document.

    Raises:
        ValueError: if it is none.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its tables and lists are nested too deeply") from None


def settings_of(table: Table, overrides: Iterable[str] = (), *, folder: Path | None = None) -> Settings:
    """Settings of a study given as tables; see `read_settings`.

    Args:
        folder: that paths in the tables are relative to; the current one unless given.
    """
    here = Path.cwd()
    table = _with_absolute_paths(table, here if folder is None else folder)
    # Another data set first: it does not take the options of the one in the file.
    for text in sorted(overrides, key=lambda text: not _names_data(text)):
        if _names_data(text) and isinstance(table.get("data"), dict):
            table["data"] = {key: value for key, value in table["data"].items() if key in DATA_KEYS}
        set_key(table, text)
    return settings_from(_with_absolute_paths(table, here))


def _names_data(override: str) -> bool:
    return override.partition("=")[0].strip() == "data.name"


def settings_from(table: Table) -> Settings:
    """Settings of resolved tables, as `Settings.table` returns them: no plugin is loaded, no path changed.

    Raises:
        WrongInputError: as `read_settings`.
    """
    check_plain(table)
    data = table.get("data")
    if isinstance(data, dict):
        options = {key: value for key, value in data.items() if key not in DATA_KEYS}
        table = {**table, "data": {key: data[key] for key in data.keys() & DATA_KEYS} | {"options": options}}
    return construct(Settings, table, "")


def write_resolved(
    directory: Path, settings: Settings, goals: Mapping[str, Goal], plugins: Mapping[str, Plugin]
) -> None:
    """Writes ``study.toml`` of a study directory, and copies of the plugins beside it; it is complete without others.

    Args:
        goals: what the values of every objective mean.
        plugins: by the name of the copy.

    Raises:
        StoppedError: if a file cannot be written.
    """
    for name, plugin in plugins.items():
        write_atomically(directory / FOLDER / name, plugin.source)
    facts = Facts(dict(goals), {name: plugin.digest for name, plugin in plugins.items()})
    table = {"schema": SCHEMA, **portable(settings, plugins), "facts": dataclasses.asdict(facts)}
    write_atomically(directory / STUDY, tomli_w.dumps(table).encode())


def portable(settings: Settings, plugins: Iterable[str]) -> Table:
    """The settings as tables, with the names of the plugins' copies in place of where they came from."""
    return settings.table() | {"plugins": [f"{FOLDER}/{name}" for name in plugins]}


def read_resolved(directory: Path) -> tuple[Table, Facts]:
    """The tables of ``study.toml`` of a study directory, and its facts.

    Raises:
        WrongInputError: if there is none, or it cannot be read or is of another format.
    """
    path = directory / STUDY
    try:
        table = parse(read_text(path, LARGEST_FILE))
    except FileNotFoundError:
        raise WrongInputError(
            f"{directory} is not a study directory: it holds no {STUDY}. "
            "Give the directory that nas search printed, for example runs/quickstart."
        ) from None
    except (OSError, ValueError) as error:
        raise WrongInputError(f"{path} cannot be read: {error}.") from None
    return _resolved(table, path)


def _resolved(table: Table, path: Path) -> tuple[Table, Facts]:
    """The study and the facts that a resolved study file holds."""
    if not table:
        raise WrongInputError(f"{path} is damaged: it is empty. Restore it from a copy.")
    schema = table.pop("schema", 1)
    if schema != SCHEMA:
        raise WrongInputError(f"{path}: {refusal(schema)}.")
    try:
        found = check_type(Table, table.pop("facts", {}), "facts")
        resolved = settings_from(table)
        facts = construct(Facts, {"objectives": {}, **found}, "facts")
        for key, held in (
            ("reference", resolved.reference),
            ("objective", resolved.objective),
            ("facts.objectives", facts.objectives),
        ):
            if lacking := set(resolved.objectives) - held.keys():
                raise WrongInputError(f"{key}.{min(lacking)} is missing.")
    except WrongInputError as error:
        raise WrongInputError(f"{path} is damaged: {error} Restore it from a copy.") from None
    return table, facts


def _with_absolute_paths(table: Table, folder: Path) -> Table:
    """The tables with absolute paths of plugins, data and surrogates and without shorthand; loads the plugins."""
    check_plain(table)
    plugins, data = table.get("plugins", []), table.get("data")
    if isinstance(plugins, list) and all(isinstance(plugin, str) for plugin in plugins):
        plugins = [str(_absolute(plugin, folder).resolve()) for plugin in plugins]
        load_plugins(plugins)
    if isinstance(data, dict) and isinstance(data.get("name"), str):
        kind, colon, text = data["name"].partition(":")
        if colon and kind in DATASETS:
            with user_input("data.name"):
                options = DATASETS[kind].shorthand(text)
                if twice := sorted(options.keys() & data.keys()):
                    raise ValueError(
                        f"{twice[0]} stands in {data['name']!r} and as data.{twice[0]}. Remove one of them."
                    )
            data = {**data, **options, "name": kind}
        if isinstance(location := data.get("location"), str) and location:
            data = {**data, "location": str(_absolute(location, folder))}
    search = table.get("search")
    if isinstance(search, dict) and isinstance(search.get("earlier"), list):
        earlier = [str(_absolute(each, folder)) if isinstance(each, str) else each for each in search["earlier"]]
        search = {**search, "earlier": earlier}
    objectives = table.get("objective")
    if isinstance(objectives, dict):
        objectives = {name: _with_absolute_surrogates(own, folder) for name, own in objectives.items()}
    found = {"plugins": plugins, "data": data, "objective": objectives, "search": search}
    return table | {key: value for key, value in found.items() if key in table}


def _with_absolute_surrogates(table: Any, folder: Path) -> Any:
    """A table ``[objective.NAME]`` with absolute paths of surrogates; one without a slash is a name."""
    given = table.get("surrogates") if isinstance(table, dict) else None
    if not isinstance(given, list):
        return table
    paths = [str(_absolute(x, folder)) if isinstance(x, str) and "/" in x else x for x in given]
    return {**table, "surrogates": paths}


def _absolute(path: str, folder: Path) -> Path:
    """A path that a study names, relative to ``folder``; ``~`` is a home folder.

    Raises:
        WrongInputError: if there is no such home folder.
    """
    try:
        return (folder / Path(path).expanduser()).absolute()
    except RuntimeError:
        raise WrongInputError(f"{brief(path)} names the home folder of nobody. Write the path in full.") from None


def set_key(table: Table, given: str) -> None:
    """Sets a dotted key of nested tables, as ``KEY=VALUE`` says.

    Raises:
        WrongInputError: if it says something else, or a part of the key is no table.
    """
    key, equals, text = given.partition("=")
    if not equals or not key.strip():
        raise WrongInputError(f"--set needs KEY=VALUE, as in --set data.name=cifar10, got {given!r}.")
    try:
        (value,) = parse(f"value = {text}").values()
    except ValueError:  # no TOML, or more than one value
        value = text.strip()
    *parents, last = (part.strip() for part in key.split("."))
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise WrongInputError(f"--set {brief(given)}: {brief(parent)} is not a table.")
    table[last] = value


def check_plain(value: Any, where: str = "", depth: int = 0) -> None:
    """Makes sure that tables hold nothing that no study can mean, whatever the key.

    Texts are of one line and no longer than a path, numbers finite and of a size that libraries take; there are no
    dates, and tables and lists have an end.

    Args:
        where: dotted place of the value, for messages.

    Raises:
        WrongInputError: naming the key.
    """
    if isinstance(value, dict | list):
        if depth == DEEPEST:
            raise WrongInputError(f"{where} has more than {DEEPEST} tables and lists in each other.")
        for key, inner in value.items() if isinstance(value, dict) else ((where, item) for item in value):
            if isinstance(value, dict):
                check_plain(key, f"a key of [{where}]" if where else "a key")
                key = f"{where}.{key}" if where else key
            check_plain(inner, key, depth + 1)
    elif isinstance(value, str):
        if not value.isprintable() or len(value) > LONGEST_PATH:
            raise WrongInputError(
                f"{where} must be text of at most {LONGEST_PATH:,} characters, none of them a control character, "
                f"got {brief(value)}."
            )
    elif not isinstance(value, bool | int | float):
        raise WrongInputError(f"{where} must be text, a number, true, false, a list or a table, got {value}.")
    elif not abs(value) <= (LARGEST_FLOAT if isinstance(value, float) else LARGEST):  # NaN neither
        raise WrongInputError(
            f"{where} must be a finite number, of a size up to 10^15 if it is whole, else to 10^38, got {brief(value)}."
        )


def construct(factory: Callable[..., T], table: Mapping[str, Any], where: str, **given: Any) -> T:
    """``factory(**table)``, a dataclass or function, with every key and type checked first.

    A factory that takes any keyword (``**options``) checks them itself.

    Args:
        where: dotted place of the table in the study, for messages; empty for the top.
        given: arguments that are not the user's.

    Raises:
        WrongInputError: for an unknown key, a missing one, a wrong type or a value that the factory refuses.
    """
    prefix = f"{where}." if where else ""
    signature = inspect.signature(factory).parameters
    takes_any = any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in signature.values())
    parameters = {
        name: parameter
        for name, parameter in signature.items()
        if name not in given and parameter.kind != inspect.Parameter.VAR_KEYWORD
    }
    target = factory.__init__ if isinstance(factory, type) else factory  # type: ignore[misc]
    hints, values = get_type_hints(target), {}
    for key, value in table.items():
        if key not in parameters and takes_any:
            values[key] = value
            continue
        if key not in parameters:
            place = f"[{where}] has an {unknown('key', key, parameters)}" if where else unknown("key", key, parameters)
            raise WrongInputError(place)
        hint = _table_of(hints[key])
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise WrongInputError(f"{prefix}{key} must be a table [{prefix}{key}], got {brief(value)}.")
            values[key] = construct(hint, value, f"{prefix}{key}")  # type: ignore[arg-type]
        else:
            values[key] = check_type(hint, value, f"{prefix}{key}")
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in values:
            raise WrongInputError(f"{prefix}{name} is missing. Give it a value.")
    with user_input(where):
        return factory(**given, **values)


def _table_of(hint: Any) -> Any:
    """The dataclass of a table that may be left out; any other hint as it is."""
    kinds = [kind for kind in get_args(hint) if dataclasses.is_dataclass(kind)]
    return kinds[0] if isinstance(hint, types.UnionType) and kinds else hint


def check_type(hint: Any, value: Any, where: str) -> Any:
    """The value, if it is of the type ``hint``; a whole number may stand for any number.

    Args:
        where: dotted place of the value in the study, for messages.

    Raises:
        WrongInputError: if it is not.
    """
    try:
        return TypeAdapter(hint).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        reasons = dict.fromkeys(detail["msg"].replace("Input should be", "must be") for detail in error.errors())
        raise WrongInputError(f"{where} {', or '.join(reasons)}, got {brief(value)}.") from None


def _without_none(table: Table) -> Table:
    """The table as TOML can hold it."""
    return {k: _without_none(v) if isinstance(v, dict) else _listed(v) for k, v in table.items() if v is not None}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _flat(table: Table, prefix: str = "") -> Table:
    flat: Table = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)
