"""Another program's loop. The line protocol is this, on its stdin and stdout:

    it prints  ready NAME              once its model is loaded and warm
    we print   run N                   it answers N frames, one after another, and
    it prints  done WALL_S [CPU_S]     seconds that it measured itself around those frames
    we close its stdin                 and it ends

What it prints besides is passed over, so libraries may greet. Without CPU_S only latency is compared.
"""

import math
import os
import selectors
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, TextIO

from edgecam.bench.scenarios import Work, warm
from edgecam.bench.timing import Time
from edgecam_engines.errors import MeasurementError

READY_S: Final = 300.0  # longest that a program may take to load
ANSWER_S: Final = 60.0


class Spent(NamedTuple):
    """What the other program says of its frames. Seconds."""

    wall: float
    cpu: float | None


class Rival:
    """Another program that speaks the protocol."""

    def __init__(self, process: "subprocess.Popen[bytes]", command: str) -> None:
        self._process, self._command = process, command
        assert process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(process.stdout, selectors.EVENT_READ)
        self._buffer = b""
        self.name = " ".join(self._words("ready", READY_S)) or command

    def run(self, frames: int) -> Spent:
        """Have it answer frames. Raises MeasurementError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"run {frames}\n".encode())
            self._process.stdin.flush()
        except OSError as error:
            raise self._broken(f"ended ({error.strerror})") from error
        words = self._words("done", ANSWER_S)
        try:
            wall, *rest = (float(word) for word in words)
        except ValueError as error:
            raise self._broken(f"said {' '.join(['done', *words])!r}") from error
        if not all(math.isfinite(value) and value > 0 for value in (wall, *rest[:1])):
            raise self._broken(f"said {' '.join(['done', *words])!r}")
        return Spent(wall, rest[0] if rest else None)

    def close(self) -> None:
        self._selector.close()

    def _words(self, first: str, patience: float) -> list[str]:
        """The rest of the next line that begins with this word."""
        end = time.monotonic() + patience
        while True:
            line, found, rest = self._buffer.partition(b"\n")
            if found:
                self._buffer = rest
                words = line.decode(errors="replace").split()
                if words[:1] == [first]:
                    return words[1:]
                continue
            if not self._selector.select(max(0.0, end - time.monotonic())):
                raise self._broken(f"did not say {first!r} within {patience:.0f} s")
            assert self._process.stdout is not None
            block = os.read(self._process.stdout.fileno(), 65536)
            if not block:
                raise self._broken(f"ended before it said {first!r}")
            self._buffer += block

    def _broken(self, what: str) -> MeasurementError:
        return MeasurementError(
            f"The program of --against {what}: {self._command}\n"
            f"It is to print `ready NAME` once it is warm, and for each `run N` on its stdin to answer\n"
            f"N frames and print `done WALL_S CPU_S`. Another bundle does so with:\n"
            f"    --against 'edgecam bench OTHER.edgecam --lines'"
        )


@contextmanager
def rival(command: str) -> Iterator[Rival]:
    """Start a program. At the end its stdin is closed; what is still there after five seconds is killed."""
    try:
        process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except (OSError, ValueError, IndexError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error) or "it is empty"
        raise MeasurementError(
            f"--against cannot be started: {command} ({why}).\n"
            f"Give a whole command line, such as: --against 'edgecam bench OTHER.edgecam --lines'"
        ) from error
    try:
        opponent = Rival(process, command)
        try:
            yield opponent
        finally:
            opponent.close()
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def serve_lines(work: Work, clock: Time, name: str, lines: TextIO, out: TextIO, *, warm_up: int) -> None:
    """The other side of the protocol: answer `run N` until the input ends. Raises MeasurementError."""
    warm(work, clock, warm_up)
    print(f"ready {name}", file=out, flush=True)
    for line in lines:
        order, _, number = line.strip().partition(" ")
        if order != "run" or not number.isdecimal() or not int(number):
            raise MeasurementError(f"--lines takes `run N` on stdin, not {line.strip()!r}.")
        wall = cpu = 0.0
        for _ in range(int(number)):
            work.ready(1)
            before, began = clock.cpu(), clock.now()
            work.answer(1)
            wall, cpu = wall + clock.now() - began, cpu + clock.cpu() - before
        print(f"done {wall:.9f} {cpu:.9f}", file=out, flush=True)
