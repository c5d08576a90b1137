"""What the command line turns into one message: no traceback, exit status 2 or 1."""

from collections.abc import Iterator
from contextlib import contextmanager


class WrongInputError(ValueError):
    """The user's input cannot be used: exit status 2. The message says what must hold, what came and what to do."""


class StoppedError(RuntimeError):
    """The work could not be finished: exit status 1. The message says why, and what is kept."""


@contextmanager
def user_input(where: str) -> Iterator[None]:
    """Turns the ValueError or OSError that a user's ``where`` causes into a `WrongInputError` that names it."""
    try:
        yield
    except WrongInputError:
        raise
    except (ValueError, OSError) as error:
        raise WrongInputError(f"{where}: {error}" if where else str(error)) from error
