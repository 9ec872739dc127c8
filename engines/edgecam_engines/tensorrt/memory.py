"""Whether there is memory for a build. On a Jetson the builder shares it with everything else that runs."""

from pathlib import Path
from typing import Any, Final, NamedTuple

from edgecam_engines.errors import BuildFailed

MEMINFO: Final = Path("/proc/meminfo")
_MB: Final = 1 << 20
# The builder's libraries and kernels take 1 to 2.5 GB whatever the model, by NVIDIA's users' reports.
BASE: Final = 1024 * _MB
COMFORT: Final = 2560 * _MB
_COPIES: Final = 4  # of the weights: ours, the parser's, the builder's, the plan's
_LEAST_WORKSPACE: Final = 64 * _MB
_MOST_WORKSPACE: Final = 4096 * _MB


class Budget(NamedTuple):
    """Bytes. What a build may use, and whether that is tight."""

    available: int  # by the kernel, or -1 where it does not say
    estimate: int  # what the build will take at the least, without workspace
    workspace: int  # limit of the builder's workspace pool; 0 leaves TensorRT's own
    warning: str  # "" where there is plenty


def available_memory(meminfo: Path = MEMINFO) -> int | None:
    """Bytes that can be had without swapping (MemAvailable), or None where no Linux kernel says so."""
    try:
        lines = meminfo.read_text(encoding="ascii", errors="replace").splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def plan_memory(name: str, model: int, activations: int, available: int | None) -> Budget:
    """What a build of a model of `model` bytes may use, `activations` being those of its largest batch.

    Half of what is left goes to the workspace, in which the builder tries kernels: the other half stays for
    the cameras. Raises BuildFailed where the kernel would end some program for want of memory.
    """
    estimate = BASE + _COPIES * model + activations
    if available is None:
        return Budget(-1, estimate, 0, "")
    if available < estimate + _LEAST_WORKSPACE:
        raise BuildFailed(
            f"Building {name} takes about {_gb(estimate)} of memory, and {_gb(available)} are free.\n"
            f"On a Jetson the GPU has the same memory as all programs. Close some (a desktop, a browser, "
            f"another edgecam), or leave the desktop with `sudo systemctl isolate multi-user.target`, then "
            f"run the same command again."
        )
    workspace = min(max((available - estimate) // 2, _LEAST_WORKSPACE), _MOST_WORKSPACE)
    tight = available < estimate - BASE + COMFORT
    warning = (
        f"Only {_gb(available)} of memory are free: building {name} will be slow and may choose slower "
        f"kernels. Close other programs for a better engine."
        if tight
        else ""
    )
    return Budget(available, estimate, workspace, warning)


def limit_workspace(trt: Any, config: Any, workspace: int) -> None:
    """Tell the builder how much it may use to try kernels."""
    if workspace:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
