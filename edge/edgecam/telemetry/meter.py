"""What can tell this machine's power, best first: its rails, tegrastats, an x86 processor's counters."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from edgecam.telemetry.rails import find_rails
from edgecam.telemetry.rapl import find_counters
from edgecam.telemetry.tegrastats import parse
from edgecam_engines.errors import MeasurementError

# A module's rails that add up to what it takes, by a rail that tells which module it is.
_TOTALS: Final = (
    ("VDD_IN", ("VDD_IN",)),  # Orin NX and Nano
    ("POM_5V_IN", ("POM_5V_IN",)),  # Nano
    ("VDD_GPU_SOC", ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")),  # AGX Orin
)

Read = Callable[[], dict[str, float] | None]  # by rail; None for a read that failed


class Meter(NamedTuple):
    """Something that tells power (watts) or, as `counts`, energy since some moment (joules), by rail."""

    name: str  # "ina3221", "tegrastats", "rapl"
    scope: str  # what is in it and what is not, in words
    counts: bool
    interval: float  # seconds between two reads that are worth making
    read: Read


def total_of(rails: list[str]) -> list[str]:
    """Those rails whose sum is the total."""
    for known, summed in _TOTALS:
        if known in rails:
            return [rail for rail in summed if rail in rails]
    return rails


@contextmanager
def open_meter(root: Path = Path("/"), tegrastats: str | None = None) -> Iterator[Meter]:
    """The best meter here; `tegrastats` is the program, else the one on the path. Raises MeasurementError."""
    rails = find_rails(root)
    if rails and _all(rails)() is not None:
        yield Meter("ina3221", _scope(list(rails)), False, 0.02, _all(rails))
        return
    program = tegrastats or shutil.which("tegrastats")
    if program is not None:
        with _tegrastats(program) as meter:
            yield meter
        return
    zones = find_counters(root)
    if zones.counters:
        scope = "the processor's packages; not the memory, disks, screen or power supply"
        yield Meter("rapl", scope, True, 0.05, _all(zones.counters))
        return
    if zones.refused:
        raise MeasurementError(
            "--energy: this processor counts its energy, but only root may read it. For this start:\n"
            "    sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        )
    raise MeasurementError(
        "--energy: this machine tells nothing about its power: no INA3221 rails, no tegrastats, no RAPL.\n"
        "Virtual machines hide it. Leave --energy out, or run this on the device itself."
    )


def _all(sources: dict[str, Callable[[], float | None]]) -> Read:
    def read() -> dict[str, float] | None:
        values = {name: source() for name, source in sources.items()}
        told = {name: value for name, value in values.items() if value is not None}
        return told if len(told) == len(sources) else None

    return read


def _scope(rails: list[str]) -> str:
    return f"the module: {' + '.join(total_of(rails))}; not the carrier board, camera or power supply"


@contextmanager
def _tegrastats(program: str) -> Iterator[Meter]:
    process = subprocess.Popen(
        [program, "--interval", "100"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    latest: list[dict[str, float]] = []
    came = threading.Event()

    def follow() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            found = parse(line)
            if found is not None and found.watts:
                latest[:] = [found.watts]
                came.set()
        came.set()

    def read() -> dict[str, float] | None:
        """Each line once: the same number twice is no new measurement."""
        return latest.pop() if latest else None

    thread = threading.Thread(target=follow, name="edgecam-tegrastats", daemon=True)
    thread.start()
    try:
        came.wait(5)
        if not latest:
            raise MeasurementError(
                "--energy: tegrastats prints no power rails. See what it prints with:\n"
                "    tegrastats --interval 100"
            )
        yield Meter("tegrastats", _scope(list(latest[-1])), False, 0.01, read)
    finally:
        process.terminate()
        process.wait()
        thread.join(5)
        assert process.stdout is not None
        process.stdout.close()
