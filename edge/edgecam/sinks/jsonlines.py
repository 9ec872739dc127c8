"""JSON lines on stdout: one a result, or one an event, an alarm and a change of a camera's state."""

import json
import os
import sys
from typing import Any

from edgecam.decisions.event import Alarm, Event
from edgecam.documents import alarm_document, event_document, status_document
from edgecam.result import Result, as_json
from edgecam.sinks.sink import Finished
from edgecam.status import CameraStatus, State
from edgecam_engines.engine import Frame
from edgecam_engines.errors import OutputError


class JsonLines:
    """Writes the stable lines; a pipe that nobody reads any more ends the loop quietly.

    With `events`, results are left out and each line has a `type`: "event", "alarm" or "camera". With
    `unchecked` each line says that the engine was not checked on this device; with `named`, results say
    which camera they are from, as is needed where there are several (the other lines always do).
    Every method raises Finished, or OutputError.
    """

    pictures = False

    def __init__(self, *, unchecked: bool = False, events: bool = False, named: bool = False) -> None:
        self._more = {"skip_check": True} if unchecked else {}
        self._events, self._named = events, named
        self._states: dict[str, State] = {}

    def write(self, frame: Frame, result: Result) -> None:
        if not self._events:
            camera = {"camera": result.camera} if self._named else {}
            self._line({**as_json(result), **camera})

    def event(self, event: Event) -> None:
        if self._events:
            self._line(event_document(event))

    def alarm(self, alarm: Alarm) -> None:
        if self._events:
            self._line(alarm_document(alarm))

    def status(self, status: CameraStatus) -> None:
        if self._events and self._states.get(status.camera) != status.state:
            self._states[status.camera] = status.state
            self._line(status_document(status))

    def close(self) -> None:
        pass

    def _line(self, document: dict[str, Any]) -> None:
        document = {**document, **self._more}
        try:
            # Not console.emit: rich would add 60 ms and 5 MB to a start that needs neither.
            try:
                sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
            except UnicodeEncodeError:  # letters that this locale lacks, or bytes that are none
                sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
            sys.stdout.flush()
        except OSError as error:
            _forget_stdout()
            if isinstance(error, BrokenPipeError):
                raise Finished from error
            raise OutputError(
                f"The JSON lines cannot be written: {error.strerror or error}.\n"
                f"Free some space, or send them elsewhere: edgecam run ... --json > OTHER_FILE"
            ) from error


def _forget_stdout() -> None:
    """Python flushes stdout once more as it ends, and would complain about it then."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
