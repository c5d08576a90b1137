"""Joining Ray: a private one on this machine, or a cluster by its address.

Ray by itself tries for 14 minutes where nothing listens (measured: 820 s), so the address is tried first. Clusters of
Ray 2.60 ask for the user's token if there was one when they were started. Joining by address sends none. Rejected:
sending it always. Such a driver refuses the calls of workers that have none: trials ran, and their reports were lost.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any, Literal

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray

AUTH_MODE = os.environ.get("RAY_AUTH_MODE")
"""What the user has decided about tokens; a private Ray sets the variable for all that follows in its process."""


def connect(address: str | None, cpus: int) -> None:
    """Joins the cluster at ``address``; None or ``local``: starts a private Ray with ``cpus``.

    Raises:
        ValueError: if there is no cluster, or it refuses this user.
    """
    private = address in (None, "local")
    local: dict[str, Any] = {"num_cpus": cpus, "include_dashboard": False} if private else {}
    try:
        found = "local" if address is None or private else _reached(address)
        ray.init(found, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        if private:
            raise ValueError(f"no private Ray can be started: {error}") from None
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
    try:
        from ray._raylet import AuthenticationTokenLoader, Config, GcsClient  # type: ignore[attr-defined]
        from ray.exceptions import AuthenticationError
    except ImportError:  # an older Ray knows no tokens
        return True
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
