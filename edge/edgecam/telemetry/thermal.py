"""Temperatures, and whether the machine held itself back because of them or of its current."""

from pathlib import Path
from typing import Final

from edgecam.telemetry.read import number, text

_OFF: Final = -256  # what a Jetson says of a sensor in a part that is switched off


def temperatures(root: Path = Path("/")) -> dict[str, float]:
    """Degrees Celsius by the zone's name; parts that are switched off are left out."""
    found: dict[str, float] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value = number(zone / "temp")
        if value is not None and value / 1e3 > _OFF:
            found[text(zone / "type") or zone.name] = value / 1e3
    return found


def throttling(root: Path = Path("/")) -> int:
    """A number that grows, or is above 0 while it lasts, whenever the machine slows itself down.

    Over-current alarms of a Jetson's power monitors, active cooling states that are no fan, and the count of
    thermal throttling that x86 keeps a core.
    """
    alarms = sum(number(path) or 0 for path in (root / "sys/class/hwmon").glob("hwmon*/curr*_crit_alarm"))
    counts = (root / "sys/devices/system/cpu").glob("cpu*/thermal_throttle/*_throttle_count")
    events = sum(number(path) or 0 for path in counts)
    return (
        alarms + events + sum(_slowed(path) for path in (root / "sys/class/thermal").glob("cooling_device*"))
    )


def _slowed(device: Path) -> int:
    kind = (text(device / "type") or "").lower()
    # Fans cool without slowing; idle injection of an unused driver says -1.
    return 0 if "fan" in kind else max(0, number(device / "cur_state") or 0)
