"""Joining Ray: the one that this process belongs to already, a private one, or a cluster by its address.

Ray by itself tries for 14 minutes where nothing listens (measured: 820 s), so the address is tried first. Clusters of
Ray 2.60 ask for the user's token if there was one when they were started. Joining by address sends none. Rejected:
sending it always. Such a driver refuses the calls of workers that have none: trials ran, and their reports were lost.
A private Ray always asks for a token (which Ray makes, if the user has none), and only this machine reaches it.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Literal

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config, GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError

AUTH_MODE = os.environ.get("RAY_AUTH_MODE")
"""What the user has decided about tokens; a private Ray sets the variable for all that follows in its process."""


SOCKET = f"/ray/session_{'YYYY-MM-DD_HH-MM-SS_microS'}_{os.getpid()}/sockets/plasma_store"
"""Path, in the folder for temporary files, of the socket of a Ray that this process starts."""
SOCKET_BYTES = 107
"""Longest path of a socket."""


def connect(address: str | None, cpus: int) -> bool:
    """Joins the cluster at ``address``; None or ``local``: starts a private Ray with ``cpus``.

    A process belongs to one Ray. If it has one already, as a notebook may, that is used instead of a private one, and
    is what ``auto`` finds.

    Returns:
        Whether Ray is to be left in the end: False if the process belonged to it before.

    Raises:
        ValueError: if there is no cluster, or it refuses this user, or the process belongs to another.
    """
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", here):
            raise ValueError(
                f"{address!r} cannot be joined: this process belongs to the Ray at {here} already. Leave ray out to "
                "use that one, or call ray.shutdown() before."
            )
        return False
    if address is None or address == "local":
        _start(cpus)
    else:
        _join(address)
    return True


def _start(cpus: int) -> None:
    """Starts a private Ray."""
    variable = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), None)
    room = SOCKET_BYTES - len(SOCKET)
    if variable and len(os.fsencode(os.environ[variable])) > room:
        raise ValueError(
            f"no private Ray can be started in {variable} = {os.environ[variable]}, because paths of its sockets may "
            f"have at most {SOCKET_BYTES} bytes. Set RAY_TMPDIR to a folder of at most {room} bytes, such as /tmp."
        )
    try:
        if AUTH_MODE is None:
            os.environ["RAY_AUTH_MODE"] = "token"
            Config.initialize("")
        with _loopback():
            ray.init("local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # just that is what Ray raises where its processes do not start in time
        raise ValueError(
            f"no private Ray can be started: {str(error).rstrip('.')}. It needs to write to RAY_TMPDIR (or TMPDIR, or "
            "/tmp) and to ~/.ray; workers = 1 without ray needs no Ray."
        ) from None


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Lets a Ray that is started inside listen to this machine only, as it does where clusters are not supported."""
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    constant, variable = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(name)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[name] = False, "0"  # of this process, and of those that it starts
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = constant
        del os.environ[name]
        if variable is not None:
            os.environ[name] = variable


def _join(address: str) -> None:
    """Joins a cluster."""
    try:
        ray.init(_reached(address), log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # as above
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise ValueError(
            f"no Ray cluster can be joined at {address}: {reason}. Give the HOST:PORT that `ray start --head` printed, "
            "or auto; this machine must belong to the cluster (`ray start --address HOST:PORT`)."
        ) from None


def _reached(address: str) -> str:
    """HOST:PORT of a cluster that answers."""
    from ray._private.services import canonicalize_bootstrap_address

    found = canonicalize_bootstrap_address(address)
    if found is None:
        raise ConnectionError("none runs on this machine")
    host, _, port = found.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    if AUTH_MODE is None and not _answers(found) and not _answers(found, "token"):
        raise ConnectionError("it asks for a token (RAY_AUTH_TOKEN or ~/.ray/auth_token), and refuses yours")
    return found


def _answers(address: str, mode: Literal["token"] | None = None) -> bool:
    """Whether a cluster accepts this process, which from now on sends the user's token or sends none."""
    os.environ.pop("RAY_AUTH_MODE", None)
    if mode:
        if not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
            return False
        os.environ["RAY_AUTH_MODE"] = mode
    Config.initialize("")
    try:
        with _hushed():
            GcsClient(address=address)
    except AuthenticationError:
        return False
    return True


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Hides what Ray's C++ core writes to the terminal: the refusal was expected."""
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
