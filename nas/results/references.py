"""Ways to name an architecture on the command line: a file, ``known:NAME``, ``DIR#TRIAL`` or ``DIR#RULE``."""

from collections.abc import Sequence
from pathlib import Path

from nas.errors import WrongInputError, user_input
from nas.export.bundle import architecture_path, load, load_architecture, read_plugins
from nas.export.ensemble import member_folders
from nas.plugins import load_trusted
from nas.pricing import price
from nas.problem import network_of
from nas.results.picks import trial_number
from nas.results.study import Study
from nas.settings import STUDY
from nas.store.files import check_path
from nas.store.records import TrialRecord
from searchspaces import Architecture, Network, build
from searchspaces.known import known_network


def find_architecture(reference: str, where: Sequence[str] = ()) -> Architecture:
    """The architecture of a JSON file or an export, of a published network (`known_network`), or of a trial.

    Args:
        reference: of a trial ``DIR#7``, or ``DIR#knee`` with any rule of `Study.pick`.
        where: conditions that a trial picked by a rule keeps.

    Raises:
        WrongInputError: if there is none.
        UntrustedError: if it takes plugins that came with it and were never trusted.
    """
    kind, _, name = reference.partition(":")
    if kind == "known" and not where:
        with user_input(""):
            return known_network(name)
    directory, hash_sign, text = reference.rpartition("#")
    number = trial_number(text)
    if hash_sign and (number is not None or (Path(directory) / STUDY).exists()):
        study = Study(directory)
        record = study.pick(text if number is None else f"trial:{number}", where)
        study.load_plugins()
        return network_of(record)
    if where:
        raise WrongInputError(f"--where chooses from a study: give DIR#RULE, got {reference!r}.")
    path = Path(reference)
    with user_input(""):
        check_path(path, "an architecture's name")
    if not path.exists():
        raise WrongInputError(f"{reference} is no file. Give an architecture file, known:NAME or DIR#TRIAL.")
    if path.is_dir():
        load_trusted(read_plugins(path), path)
        path = architecture_path(path)
    return load_architecture(path)


def find_network(reference: str) -> tuple[Architecture, Network, bool]:
    """The architecture that a reference names, its network, and whether that has the weights of an export.

    Of anything but an export the network is as it is before training.

    Raises:
        WrongInputError: if there is none, or the export is of several networks.
        UntrustedError: if it takes plugins that came with it and were never trusted.
    """
    path = Path(reference)
    if path.is_dir():
        network = load(path)
        if not isinstance(network, Network):
            members = ", ".join(map(str, member_folders(path)))
            raise WrongInputError(f"{reference} is of several networks. Name one of its members: {members}.")
        return load_architecture(architecture_path(path)), network, True
    architecture = find_architecture(reference)
    with user_input("the architecture"):
        price(architecture)
        return architecture, build(architecture).eval(), False


def find_trial(study: Study, reference: str) -> tuple[Study, TrialRecord]:
    """A trial by its number, by a rule of `Study.pick`, or of another study as ``DIR#TRIAL``, with its study.

    Raises:
        WrongInputError: if there is none.
    """
    directory, hash_sign, text = reference.rpartition("#")
    home = Study(directory) if hash_sign else study
    number = trial_number(text)
    return home, home.pick(text if number is None else f"trial:{number}")
