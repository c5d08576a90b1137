"""The study file: what a user asks for, checked key by key, and written back resolved.

Tables whose keys belong to a leaf (``[training]``, ``[objective.NAME]``, ``[space]``) are checked against the class or
function they configure, so that a setting is declared once, where it is used. Types are checked by pydantic.
"""

import dataclasses
import inspect
import json
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from nas.errors import WrongInputError, user_input
from searchspaces.registry import unknown

T = TypeVar("T")
Table = dict[str, Any]


@dataclass(frozen=True)
class DataSettings:
    """``[data]``.

    Args:
        name: data set, ``name`` or ``name:location`` (see `nas data`).
        limit: use so many images of the training set, validation included.
        validation: share of them kept for validation; 0, in `nas train` only, to train on all.
        resolution: sides in pixels to which images are resized, because fewer pixels train faster; unset: as they are.
        checksum: of the images used; written at the first start, so that a study never goes on with other data.
    """

    name: str = "digits"
    limit: int | None = None
    validation: float = 0.2
    resolution: int | None = None
    checksum: str | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 2:
            raise ValueError(f"limit must be at least 2 images, got {self.limit}.")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation must be a share from 0 to less than 1, got {self.validation}.")
        if self.resolution is not None and self.resolution < 1:
            raise ValueError(f"resolution must be at least 1 pixel, got {self.resolution}.")


@dataclass(frozen=True)
class SearchSettings:
    """``[search]``.

    Args:
        sampler: Optuna sampler that proposes (`nas.proposals.SAMPLERS`).
        options: passed on to the sampler, for example ``population_size``.
    """

    sampler: str = "tpe"
    options: Table = field(default_factory=dict)


@dataclass(frozen=True)
class ExecutionSettings:
    """``[execution]``: where trials run; may change when a study goes on.

    Args:
        workers: trials at the same time; 1 runs them in this process, more on Ray.
        ray: ``local`` for a private Ray, or the address of a cluster (``auto``: the one on this machine); unset: a
            private one for several workers.
        cpus_per_trial: CPUs that Ray keeps for each trial, and, rounded down, its torch threads.
        gpus_per_trial: whole GPUs for each trial, or a share of one, for example 0.25, of its memory too.
        memory_gb_per_trial: memory that a trial may allocate, in GB (10^9 bytes); one that needs more ends
            ``out_of_memory`` before its neighbours suffer.
        device: where trials train; ``auto`` is the GPU if a trial has a share of one, else the CPU.
        timeout_seconds: time for one trial, counted from its own start.
        grace_seconds: time that running trials get to finish when the search is stopped.
        attempts: times that a trial is handed out whose worker dies, before it is recorded as failed.
        checkpoint_seconds: time between two savings of a running training, from which a trial goes on whose worker,
            machine or search was lost; 0 for none.
    """

    workers: int = 1
    ray: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
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
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        if self.gpus_per_trial > 1 and self.gpus_per_trial % 1:
            raise ValueError(f"gpus_per_trial must be a whole number, or a share below 1, got {self.gpus_per_trial}.")
        for name in ("cpus_per_trial", "memory_gb_per_trial", "timeout_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive, got {value}.")

    @property
    def where(self) -> str:
        """The torch device of a trial."""
        on_gpu = self.device == "cuda" or (self.device == "auto" and self.gpus_per_trial > 0)
        return "cuda" if on_gpu else "cpu"


@dataclass(frozen=True)
class LimitSettings:
    """``[limits]``: what ends a search besides its trials; may change when a study goes on.

    Args:
        seconds: wall time of one run of the command; running it again goes on for as long again.
        patience: trials in a row that may leave the hypervolume as it is (within 0.1 %).
        artifacts_gb: disk space for weights, in GB (10^9 bytes). Beyond it, weights of trials off the front are
            deleted, oldest first; those of the front never are.
    """

    seconds: float | None = None
    patience: int | None = None
    artifacts_gb: float | None = None

    def __post_init__(self) -> None:
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1 trial, got {self.patience}.")
        for name in ("seconds", "artifacts_gb"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must not be negative, got {value}.")


@dataclass(frozen=True)
class ExportSettings:
    """``[export]``: what a finished search takes away by itself.

    Args:
        pick: rule as of `nas export`, for example ``knee``; unset: nothing is exported.
    """

    pick: str | None = None


@dataclass(frozen=True)
class Settings:
    """A study file.

    Args:
        name: of the study; its directory is ``runs/<name>`` unless another is given.
        objectives: names of the objectives: registered ones, or tables ``[objective.NAME]`` with a ``kind``.
        seed: everything random follows from it.
        trials: trials to run; those count that ended complete, failed or truncated.
        space: ``kind``, the settings of that space, ``choices`` that narrow it by name, ``remove``: choices left out.
        bounds: largest value of a cost, by objective name; dearer candidates are never trained.
        training: ``kind`` (default ``supervised``) and the settings of that trainer.
        objective: settings of the objectives, by name.
        plugins: Python files of one's own to load, relative to the study file.
        reference: reference point of the hypervolume in the objectives' own units, by name.
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
    search: SearchSettings = field(default_factory=SearchSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    export: ExportSettings = field(default_factory=ExportSettings)

    def __post_init__(self) -> None:
        if not self.name or any(c in self.name for c in "/\\") or self.name.startswith("."):
            raise ValueError(f"name must be usable as a folder name, got {self.name!r}.")
        if not self.objectives or len(set(self.objectives)) != len(self.objectives):
            raise ValueError(f"objectives must be one or more different names, got {self.objectives}.")
        if self.trials < 1:
            raise ValueError(f"trials must be at least 1, got {self.trials}.")

    def table(self) -> Table:
        """The settings as nested tables, unset values left out."""
        return _without_none(dataclasses.asdict(self))


RESUMABLE = ("trials", "execution", "limits", "export", "name", "plugins")
"""Settings that may change when a study goes on; any other change would mix what cannot be compared."""


def differences(old: Table, new: Table) -> list[str]:
    """What differs between two resolved studies and must not, one sentence each."""
    a, b = _flat(old), _flat(new)
    changed = {key for key in a.keys() | b.keys() if key.split(".")[0] not in RESUMABLE and a.get(key) != b.get(key)}
    if changed != {"data.checksum"}:
        changed.discard("data.checksum")  # it follows from the seed and the other settings of the data
    return [f"{key} was {_shown(a.get(key))}, now {_shown(b.get(key))}" for key in sorted(changed)]


def read_settings(path: Path, overrides: Iterable[str] = ()) -> Settings:
    """Settings of a study file, with ``KEY=VALUE`` overrides (dotted keys, TOML values or bare words) on top.

    Raises:
        WrongInputError: naming the key, what was expected and the nearest right spelling.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WrongInputError(f"study file {path} does not exist. Give the path of a .toml file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise WrongInputError(f"study file {path} cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise WrongInputError(f"study file {path} is not valid TOML: {error}.") from None
    settings = settings_of(table, overrides)
    return replace(settings, plugins=[str((path.parent / plugin).resolve()) for plugin in settings.plugins])


def settings_of(table: Table, overrides: Iterable[str] = ()) -> Settings:
    """Settings of a study given as tables, with overrides on top; see `read_settings`."""
    for override in overrides:
        _override(table, override)
    return construct(Settings, table, "")


def _override(table: Table, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise WrongInputError(f"--set needs KEY=VALUE, as in --set data.name=cifar10, got {override!r}.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise WrongInputError(f"--set {override}: {parent!r} is not a table.")
    table[last] = value


def construct(factory: Callable[..., T], table: Mapping[str, Any], where: str, **given: Any) -> T:
    """``factory(**table)``, a dataclass or function, with every key and type checked first.

    Args:
        where: dotted place of the table in the study, for messages; empty for the top.
        given: arguments that are not the user's.

    Raises:
        WrongInputError: for an unknown key, a missing one, a wrong type or a value that the factory refuses.
    """
    prefix = f"{where}." if where else ""
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(factory).parameters.items()
        if name not in given and parameter.kind != inspect.Parameter.VAR_KEYWORD
    }
    target = factory.__init__ if isinstance(factory, type) else factory  # type: ignore[misc]
    hints, values = get_type_hints(target), {}
    for key, value in table.items():
        if key not in parameters:
            place = f"[{where}] has an {unknown('key', key, parameters)}" if where else unknown("key", key, parameters)
            raise WrongInputError(place)
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise WrongInputError(f"{prefix}{key} must be a table [{prefix}{key}], got {value!r}.")
            values[key] = construct(hint, value, f"{prefix}{key}")  # type: ignore[arg-type]
        else:
            values[key] = _checked(hint, value, f"{prefix}{key}")
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in values:
            raise WrongInputError(f"{prefix}{name} is missing. Give it a value.")
    with user_input(where):
        return factory(**given, **values)


def _checked(hint: Any, value: Any, where: str) -> Any:
    try:
        return TypeAdapter(hint).validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        reasons = dict.fromkeys(detail["msg"].replace("Input should be", "must be") for detail in error.errors())
        raise WrongInputError(f"{where} {', or '.join(reasons)}, got {value!r}.") from None


def _without_none(table: Table) -> Table:
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in table.items() if v is not None}


def _flat(table: Table, prefix: str = "") -> Table:
    flat: Table = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)
