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

    Over-current alarms of a Jetson's power monitors, active cooling states that are no fan, and what is
    counted since the start.
    """
    alarms = sum(number(path) or 0 for path in _alarms(root))
    return alarms + slowed_so_often(root) + sum(_slowed(path) for path in _coolers(root))


def slowed_by(root: Path = Path("/")) -> list[str]:
    """What holds the machine back at this moment, in words; empty for nothing."""
    alarms = [f"over-current alarm of {_rail(path)}" for path in _alarms(root) if number(path)]
    return [*alarms, *(text(path / "type") or path.name for path in _coolers(root) if _slowed(path))]


def slowed_so_often(root: Path = Path("/")) -> int:
    """How often since it started: a Jetson's over-current events, the thermal throttling of x86's cores."""
    events = (root / "sys/class/hwmon").glob("hwmon*/oc*_event_cnt")
    throttled = (root / "sys/devices/system/cpu").glob("cpu*/thermal_throttle/*_throttle_count")
    return sum(number(path) or 0 for path in (*events, *throttled))


def _alarms(root: Path) -> list[Path]:
    return sorted((root / "sys/class/hwmon").glob("hwmon*/curr*_crit_alarm"))


def _coolers(root: Path) -> list[Path]:
    return sorted((root / "sys/class/thermal").glob("cooling_device*"))


def _rail(alarm: Path) -> str:
    """The rail that an alarm is of, by the label of its channel."""
    channel = alarm.name.removeprefix("curr").removesuffix("_crit_alarm")
    return text(alarm.with_name(f"in{channel}_label")) or alarm.name


def _slowed(device: Path) -> int:
    kind = (text(device / "type") or "").lower()
    # Fans cool without slowing; idle injection of an unused driver says -1.
    return 0 if "fan" in kind else max(0, number(device / "cur_state") or 0)
