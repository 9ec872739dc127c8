"""One line of tegrastats, as JetPack 4 to 7 print it."""

import re
from typing import Final, NamedTuple

_PAIR: Final = r"(\d+)/(\d+)MB"
_RAM: Final = re.compile(rf"\bRAM {_PAIR}")
_SWAP: Final = re.compile(rf"\bSWAP {_PAIR}")
_CPU: Final = re.compile(r"\bCPU \[([^\]]*)\]")
_CORE: Final = re.compile(r"(\d+)%(?:@(\d+))?")
_EMC: Final = re.compile(r"\bEMC_FREQ (\d+)%(?:@(\d+))?")
_GPU: Final = re.compile(r"\bGR3D_FREQ (\d+)%(?:@(?:\[([\d,]*)\]|(\d+)))?")
_HEAT: Final = re.compile(r"(?<!\S)(\w+)@(-?\d+(?:\.\d+)?)C\b")
# Now, then the average since the start, then on JetPack 7 a third. Without mW on JetPack 4.
_RAIL: Final = re.compile(r"(?<!\S)((?:VDD|VIN|POM)\w*) (\d+)(?:mW)?(?:/\d+(?:mW)?){0,2}(?!\S)")
_OFF: Final = -256.0


class Core(NamedTuple):
    """One CPU core that is on."""

    percent: int
    mhz: int | None


class Line(NamedTuple):
    """What a line says. None or empty for what it leaves out."""

    ram_mb: tuple[int, int] | None  # used, all
    swap_mb: tuple[int, int] | None  # used, all
    cores: tuple[Core | None, ...]  # None for one that is off
    memory_percent: int | None  # of the memory's bandwidth
    gpu_percent: int | None
    gpu_mhz: tuple[int, ...]  # one or, on some boards, several
    celsius: dict[str, float]  # by sensor, in small letters; without those that are off
    watts: dict[str, float]  # by rail, now; without channels that are not connected


def parse(line: str) -> Line | None:
    """A line in numbers; None when it is none of tegrastats's."""
    if _RAM.search(line) is None:
        return None
    emc, gpu, cpu = _EMC.search(line), _GPU.search(line), _CPU.search(line)
    heat = {name.lower(): float(degrees) for name, degrees in _HEAT.findall(line)}
    return Line(
        ram_mb=_pair(_RAM.search(line)),
        swap_mb=_pair(_SWAP.search(line)),
        cores=tuple(_core(part) for part in cpu[1].split(",")) if cpu else (),
        memory_percent=int(emc[1]) if emc else None,
        gpu_percent=int(gpu[1]) if gpu else None,
        gpu_mhz=tuple(int(mhz) for mhz in (gpu[2] or gpu[3] or "").split(",") if mhz) if gpu else (),
        celsius={name: degrees for name, degrees in heat.items() if degrees > _OFF},
        watts={name: int(milliwatts) / 1e3 for name, milliwatts in _RAIL.findall(line)},
    )


def _pair(found: re.Match[str] | None) -> tuple[int, int] | None:
    return (int(found[1]), int(found[2])) if found else None


def _core(part: str) -> Core | None:
    found = _CORE.search(part)
    return Core(int(found[1]), int(found[2]) if found[2] else None) if found else None
