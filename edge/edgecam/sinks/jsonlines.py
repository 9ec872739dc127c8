"""One JSON line a result, on stdout."""

import json
import os
import sys

from edgecam.result import Result, as_json
from edgecam.sinks.sink import Finished
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError


class JsonLines:
    """Writes the stable lines; a pipe that nobody reads any more ends the loop quietly.

    With `unchecked` each line says that the engine was not checked on this device.
    """

    pictures = False

    def __init__(self, *, unchecked: bool = False) -> None:
        self._more = {"skip_check": True} if unchecked else {}

    def write(self, frame: Frame, result: Result) -> None:
        try:
            # Not console.emit: rich would add 60 ms and 5 MB to a start that needs neither.
            sys.stdout.write(
                json.dumps({**as_json(result), **self._more}, ensure_ascii=False, allow_nan=False) + "\n"
            )
            sys.stdout.flush()
        except OSError as error:
            _forget_stdout()
            if isinstance(error, BrokenPipeError):
                raise Finished from error
            raise OutputError(
                f"The JSON lines cannot be written: {error.strerror or error}.\n"
                f"Free some space, or send them elsewhere: edgecam run ... --json > OTHER_FILE"
            ) from error

    def close(self) -> None:
        pass


def _forget_stdout() -> None:
    """Python flushes stdout once more as it ends, and would complain about it then."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
