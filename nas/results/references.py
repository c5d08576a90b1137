"""Ways to name an architecture on the command line: a file, ``known:NAME``, or ``DIR#TRIAL``."""

from pathlib import Path

from nas.errors import WrongInputError, user_input
from nas.export.bundle import ARCHITECTURE, load_architecture
from nas.problem import network_of
from nas.results.picks import trial_number
from nas.results.study import Study
from nas.store.files import check_path
from searchspaces import Architecture
from searchspaces.known import KNOWN
from searchspaces.registry import lookup


def find_architecture(reference: str) -> Architecture:
    """The architecture of a JSON file or an export, of a published network, or of a trial.

    Raises:
        WrongInputError: if there is none.
    """
    kind, _, name = reference.partition(":")
    if kind == "known":
        with user_input(""):
            return lookup(KNOWN, "known network", name)()
    directory, hash_sign, text = reference.rpartition("#")
    if hash_sign and (number := trial_number(text)) is not None:
        return network_of(Study(directory).trial(number))
    path = Path(reference)
    with user_input(""):
        check_path(path, "an architecture's name")
    if not path.exists():
        raise WrongInputError(f"{reference} is no file. Give an architecture file, known:NAME or DIR#TRIAL.")
    return load_architecture(path / ARCHITECTURE if path.is_dir() else path)
