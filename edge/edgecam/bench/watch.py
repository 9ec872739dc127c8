"""What the machine did while it was measured: looks at its clocks, alarms, load and swap, now and then."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from edgecam.bench.timing import Time
from edgecam.board import Command, power_mode, run_command
from edgecam.telemetry.clocks import Speed, read_clocks
from edgecam.telemetry.load import read_usage
from edgecam.telemetry.thermal import temperatures, throttling

EVERY_S: Final = 1.0


class Look(NamedTuple):
    """One look at the machine."""

    at: float  # seconds on the benchmark's clock
    own_cpu: float  # processor seconds of this process so far
    clocks: list[Speed]
    throttling: int
    busy_s: float | None  # processor seconds of all processes so far
    swap_mb: float | None
    hottest: float | None  # degrees Celsius


class Watched(NamedTuple):
    """The looks during a run, at least two, and what does not change within it."""

    looks: list[Look]
    power_mode_before: str | None
    power_mode_after: str | None


def look(time: Time, root: Path = Path("/")) -> Look:
    """Read it all once: a few dozen small files."""
    usage = read_usage(root)
    return Look(
        time.now(),
        time.cpu(),
        read_clocks(root),
        throttling(root),
        usage.busy_s,
        usage.swap_mb,
        max(temperatures(root).values(), default=None),
    )


@contextmanager
def watching(
    time: Time, root: Path = Path("/"), run: Command = run_command, every: float = EVERY_S
) -> Iterator[Callable[[], Watched]]:
    """Look before, every second, and when the function that this gives is called; it returns all looks."""
    looks, over = [look(time, root)], threading.Event()
    before = power_mode(run)

    def keep_looking() -> None:
        while not over.wait(every):
            looks.append(look(time, root))

    thread = threading.Thread(target=keep_looking, name="edgecam-watch", daemon=True)
    thread.start()

    def end() -> Watched:
        over.set()
        thread.join()
        return Watched([*looks, look(time, root)], before, power_mode(run))

    try:
        yield end
    finally:
        over.set()
        thread.join()
