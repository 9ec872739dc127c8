"""A Jetson's power by rail, from its INA3221 monitors in sysfs.

Their hwmon numbers change from start to start, so rails are found by their labels. Channels that lead nowhere
are called NC, and the monitor's "sum of shunt voltages" is no rail. JetPack 4 has iio devices instead. Bus
voltage comes in steps of 8 mV, current in steps of 40 uV across the shunt.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edgecam.telemetry.read import number, text

_HWMON: Final = "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*"
_IIO: Final = "sys/bus/i2c/drivers/ina3221x/*/iio:device*"
_NO_RAIL: Final = ("NC", "sum of shunt voltages")

Watts = Callable[[], float | None]  # None for a read that failed


def find_rails(root: Path = Path("/")) -> dict[str, Watts]:
    """What to read each rail by, by its name; empty where there are no such monitors."""
    return dict([*_hwmon(root), *_iio(root)])


def _hwmon(root: Path) -> Iterator[tuple[str, Watts]]:
    for label in sorted(root.glob(f"{_HWMON}/in*_label")):
        name, channel = text(label), label.name[2:-6]
        if name and name not in _NO_RAIL:
            yield (
                name,
                _product(label.with_name(f"in{channel}_input"), label.with_name(f"curr{channel}_input")),
            )


def _iio(root: Path) -> Iterator[tuple[str, Watts]]:
    for label in sorted(root.glob(f"{_IIO}/rail_name_*")):
        name, channel = text(label), label.name.rsplit("_", 1)[1]
        if name and name not in _NO_RAIL:
            yield name, _milliwatts(label.with_name(f"in_power{channel}_input"))


def _product(millivolts: Path, milliamperes: Path) -> Watts:
    def read() -> float | None:
        volts, amperes = number(millivolts), number(milliamperes)
        return None if volts is None or amperes is None else volts * amperes / 1e6

    return read


def _milliwatts(path: Path) -> Watts:
    def read() -> float | None:
        value = number(path)
        return None if value is None else value / 1e3

    return read
