"""Ways to name an architecture on the command line: a file, ``known:NAME``, or ``DIR#TRIAL``."""

from pathlib import Path

from nas.errors import WrongInputError, user_input
from nas.export.bundle import ARCHITECTURE, load_architecture, read_plugins
from nas.plugins import load_trusted
from nas.results.study import Study
from searchspaces import Architecture
from searchspaces.known import KNOWN
from searchspaces.registry import lookup


def find_architecture(reference: str) -> Architecture:
    """The architecture of a JSON file or an export, of a published network, or of a trial.

    Raises:
        WrongInputError: if there is none.
        UntrustedError: if it takes plugins that came with it and were never trusted.
    """
    kind, _, name = reference.partition(":")
    if kind == "known":
        with user_input(""):
            return lookup(KNOWN, "known network", name)()
    directory, hash_sign, number = reference.rpartition("#")
    if hash_sign and number.isdecimal():
        study = Study(directory)
        record = study.trial(int(number))
        study.load_plugins()
        with user_input(reference):
            return Architecture.from_json(record.architecture)
    path = Path(reference)
    if not path.exists():
        raise WrongInputError(f"{reference} is no file. Give an architecture file, known:NAME or DIR#TRIAL.")
    if path.is_dir():
        load_trusted(read_plugins(path), path)
        path /= ARCHITECTURE
    return load_architecture(path)
