"""The one place where exceptions become messages and exit codes.

0 good, 1 a known error explained in one message, 2 wrong usage, 3 an unexpected error with a log file
named, 130 interrupted.
"""

import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import typer

from edgecam_engines.errors import EdgecamError

INTERRUPTED: Final = 130
# Every complaint about usage, and the only name for it that lasts: Typer was built on the package click
# and then took it in as a private module.
_UsageProblem: Final[Any] = typer.BadParameter.__mro__[2]


def guarded(app: typer.Typer) -> None:
    """Run the command line and leave with its exit code. SIGTERM ends it as Ctrl-C does, cleaning up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(code_of(lambda: app(standalone_mode=False)))


def code_of(call: Callable[[], Any]) -> int:
    """Run it; print what went wrong; return the exit code."""
    try:
        result = call()
        code = result if isinstance(result, int) else 0
        if code == INTERRUPTED:  # a later Typer catches Ctrl-C and says nothing
            _told("Interrupted.", code)
    except EdgecamError as error:
        code = _told("Interrupted.", INTERRUPTED) if _by_interrupt(error) else _told(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        code = _told("Interrupted.", INTERRUPTED)
    except _UsageProblem as error:
        error.show()
        code = error.exit_code
    except typer.Exit as leaving:
        code = leaving.exit_code
    except BrokenPipeError:
        code = _reader_gone()
    except SystemExit as leaving:
        # Typer and rich both turn a broken pipe into this.
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        code = _reader_gone()
    except Exception as error:
        if _by_interrupt(error):
            return _told("Interrupted.", INTERRUPTED)
        full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
        code = _told(_disk_full(error), 1) if full else _told(_unexpected(error), 3)
    return code


def _by_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C lies behind it: compiled libraries turn one that meets them into their own error."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _reader_gone() -> int:
    """Whoever read our output has enough, as `head` does. Python would complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _told(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _disk_full(error: Exception) -> str:
    file = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return (
        f"The disk is full{f': {file} could not be written' if file else ''}.\n"
        f"Free some space, then run the same command again."
    )


def _unexpected(error: Exception) -> str:
    trace = f"{' '.join(sys.argv)}\n\n{traceback.format_exc()}"
    first = f"edgecam did not expect this: {type(error).__name__}: {error}"
    try:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "edgecam"
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        log.write_text(trace)
    except (OSError, RuntimeError):  # a full disk; nobody's home, as in some containers
        return f"{trace}\n{first}"
    return f"{first}\nThe details are in {log}. Please report them."
