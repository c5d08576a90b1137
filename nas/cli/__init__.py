"""The command line. Every command imports what it needs when it runs, so that ``nas --help`` imports nothing heavy.

Exit status: 0 done, 1 the work failed, 2 wrong input, 130 interrupted.
"""

import os
import sys

import click

from nas.cli import ablations, catalogue, exports, measuring, results, search
from nas.cli.frame import cli
from nas.errors import StoppedError, WrongInputError

__all__ = ["ablations", "catalogue", "cli", "exports", "main", "measuring", "results", "search"]


def main() -> None:
    """Runs the command line; what a user got wrong is one message, never a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except (WrongInputError, StoppedError) as error:
        from nas.show.console import echo

        echo(f"Error: {error}", err=True)
        code = 2 if isinstance(error, WrongInputError) else 1
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted. What is finished is kept; the same command continues.", err=True)
        code = 130
    except BrokenPipeError:  # the reader of our output went away, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
