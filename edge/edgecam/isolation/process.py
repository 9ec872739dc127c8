"""Starting a reader process, and ending it in every case."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Final, NamedTuple

from edgecam.isolation.channel import Channel, Closed, Told, pair
from edgecam.isolation.mailbox import Inbox

OPENER: Final = "edgecam.sources:open_source"
EXIT_LOOK_S: Final = 0.005
REAP_S: Final = 2.0  # a process in the middle of a driver's call may outlive even SIGKILL for a while
# The very paths that we import from; with -m the folder we are in would come first.
_BOOT: Final = (
    f"import sys; sys.path[:] = sys.argv.pop().split({os.pathsep!r}); "
    f"from edgecam.isolation.child import main; main()"
)


class Job(NamedTuple):
    """What a reader is to read."""

    uri: str
    realtime: bool = False  # a file at its own speed
    opener: str = OPENER  # "module:function" that takes a URI and a function to say things with


class Child:
    """One reader process and our ends of what connects us."""

    def __init__(self, job: Job) -> None:
        ours, theirs = pair()
        giving, taking = pair()
        with theirs, giving:
            sockets = [end.fileno() for end in (theirs, giving, taking)]
            numbers = map(str, (os.getpid(), *sockets))
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, *numbers, os.pathsep.join(sys.path)],
                pass_fds=sockets,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # ours belongs to the JSON lines
                start_new_session=True,  # Ctrl-C is for us; and what it starts can be killed with it
            )
        self.pid = self._process.pid
        self.channel = Channel(ours)
        self.inbox = Inbox(taking, self.channel)
        with suppress(Closed):
            # Not as an argument: a URI may hold a password, and everybody sees arguments.
            self.channel.send(Told("read", job._asdict()))

    def end(self, grace_s: float = 0.0) -> bool:
        """Let it give its device back for `grace_s`, then kill it. False when it is still there."""
        self.channel.hang_up()
        until = time.monotonic() + grace_s
        while time.monotonic() < until and not self._exited():
            time.sleep(EXIT_LOOK_S)
        if self._process.returncode is None:
            # Before it is reaped, while its number cannot be another's; with it goes what it started.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        try:
            self._process.wait(REAP_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def how(self) -> str:
        """How it ended, in words; only after `end`."""
        code = self._process.returncode
        return "it still runs" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"

    def _exited(self) -> bool:
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
