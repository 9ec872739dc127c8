"""How a machine is right now, as far as it decides whether edgecam works well on it."""

from dataclasses import dataclass, field
from pathlib import Path

from edgecam.telemetry.clocks import Speed, read_clocks
from edgecam.telemetry.memory import Memory, read_memory
from edgecam.telemetry.storage import Disk, read_disk
from edgecam.telemetry.thermal import slowed_by, slowed_so_often, temperatures


@dataclass(frozen=True)
class State:
    """One look. What a machine does not tell is None, 0 or empty."""

    memory: Memory = field(default_factory=Memory)
    disk: Disk | None = None  # of the working directory
    clocks: tuple[Speed, ...] = ()
    celsius: dict[str, float] = field(default_factory=dict)
    slowed_by: tuple[str, ...] = ()  # what holds it back now, in words
    slowed_so_often: int = 0  # since it started


def read_state(root: Path = Path("/"), folder: Path | None = None) -> State:
    """Look at everything. Never raises. `folder` None is the working directory."""
    return State(
        read_memory(root),
        read_disk(Path.cwd() if folder is None else folder, root),
        tuple(read_clocks(root)),
        temperatures(root),
        tuple(slowed_by(root)),
        slowed_so_often(root),
    )
