"""The one place where exceptions become messages and exit codes.

0 good, 1 a known error explained in one message, 2 wrong usage, 3 an unexpected error with a log file
named, 130 interrupted.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import typer

from edgecam_engines.errors import EdgecamError


def guarded(app: typer.Typer) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(code_of(lambda: app(standalone_mode=False)))


def code_of(call: Callable[[], Any]) -> int:
    """Run it; print what went wrong; return the exit code."""
    try:
        result = call()
        code = result if isinstance(result, int) else 0
    except EdgecamError as error:
        code = _told(str(error), 1)
    except (KeyboardInterrupt, click.Abort):
        code = _told("Interrupted.", 130)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        code = _told(_unexpected(error), 3)
    return code


def _told(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _unexpected(error: Exception) -> str:
    trace = f"{' '.join(sys.argv)}\n\n{traceback.format_exc()}"
    first = f"edgecam did not expect this: {type(error).__name__}: {error}"
    try:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "edgecam"
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        log.write_text(trace)
    except OSError:
        return f"{trace}\n{first}"
    return f"{first}\nThe details are in {log}. Please report them."
