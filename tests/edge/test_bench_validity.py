"""When a run is not believed: each reason alone, from what a machine would have shown."""

from pathlib import Path

import numpy as np
import pytest

from edge.bench_kit import SimulatedTime, constant
from edgecam.bench import scenarios
from edgecam.bench.record import Run
from edgecam.bench.validity import reasons
from edgecam.bench.watch import Look, Watched, look, watching
from edgecam.telemetry.clocks import Speed, all_pinned, read_clocks
from edgecam.telemetry.load import gpu_load, read_usage
from edgecam.telemetry.thermal import temperatures, throttling


def steady_run(n: int = 700) -> Run:
    clock = SimulatedTime()
    return scenarios.closed_loop(constant(clock, 0.01), clock.time, queries=n)


def at(second: float, *, mhz: float = 2200, hot: int = 0, busy: float | None = None, swap: float = 3) -> Look:
    """A look at a machine whose only work is ours, unless told otherwise."""
    speed = Speed("cpu0", mhz, 729, 2201, "schedutil")
    return Look(second, second, [speed], hot, second if busy is None else busy, swap, 48.0)


def watched(*looks: Look, before: str | None = "MAXN", after: str | None = "MAXN") -> Watched:
    return Watched(list(looks), before, after)


CALM = watched(at(0), at(3), at(7))


def test_a_calm_run_is_valid() -> None:
    assert reasons(steady_run(), CALM, asked_mode="MAXN", gpu=0.0) == []


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (watched(at(0), at(3, mhz=1200), at(7)), "clocks changed: cpu0 ran at 1200 to 2200 MHz"),
        (
            watched(at(0), at(3, hot=1), at(7, hot=0)),
            "throttled: the machine slowed itself down, at up to 48 C",
        ),
        (watched(at(0), at(7, busy=10.5)), "other programs kept 0.5 processor cores busy"),
        (watched(at(0), at(3, swap=23), at(7)), "swap grew by 20 MB"),
        (watched(at(0), at(7), after="MODE_30W"), "power mode changed from MAXN to MODE_30W"),
        (watched(at(0), at(7), before="MODE_30W", after="MODE_30W"), "power mode is MODE_30W, not MAXN"),
        (watched(at(0), at(7), before=None, after=None), "power mode is unknown, not MAXN"),
    ],
)
def test_each_trouble_of_the_machine_is_named(told: Watched, words: str) -> None:
    (reason,) = reasons(steady_run(), told, asked_mode="MAXN")
    assert words in reason


def test_a_mode_that_nobody_asked_for_is_no_trouble() -> None:
    assert reasons(steady_run(), watched(at(0), at(7), before="MODE_15W", after="MODE_15W")) == []


def test_a_gpu_that_others_use_is_named() -> None:
    (reason,) = reasons(steady_run(), CALM, gpu=0.31)
    assert "the GPU was busy for 31 %" in reason


@pytest.mark.parametrize(("n", "invalid"), [(661, True), (662, False)])
def test_too_few_samples_are_told_with_how_many_it_takes(n: int, invalid: bool) -> None:
    told = reasons(steady_run(n), CALM)
    assert bool(told) is invalid
    assert all(f"{n} queries; to bound a p99 takes 662" in reason for reason in told)


def test_a_stalling_engine_makes_a_closed_loop_suspect() -> None:
    service = np.tile([0.001] * 99 + [0.010], 8)
    ended = np.cumsum(service)
    closed = Run("single-stream", ended - service, ended - service, ended, service, 1, np.zeros(0))
    (reason,) = reasons(closed, CALM)
    assert reason.startswith("coordinated omission suspected")
    # The open loops count the waiting themselves.
    assert reasons(closed._replace(scenario="server"), CALM) == []


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    return root


CPU = "sys/devices/system/cpu"


def test_clocks_are_read_of_every_cluster_and_of_the_gpu(tmp_path: Path) -> None:
    gpu = "sys/class/devfreq/17000000.gpu"
    files = {f"{CPU}/cpufreq/policy{n}/scaling_{which}_freq": value for n in (8, 0, 4)
             for which, value in (("cur", "2201600"), ("min", "729600"), ("max", "2201600"))}  # fmt: skip
    files |= {f"{CPU}/cpufreq/policy0/scaling_governor": "schedutil"}
    files |= {f"{gpu}/{which}_freq": "1300500000" for which in ("cur", "min", "max")}
    files |= {"sys/class/devfreq/15340000.vic/cur_freq": "729600000", f"{gpu}/device/load": "123"}
    clocks = read_clocks(lay(tmp_path, files))
    assert [clock.name for clock in clocks] == ["cpu0", "cpu4", "cpu8", "gpu"]
    assert clocks[0] == Speed("cpu0", 2201.6, 729.6, 2201.6, "schedutil")
    assert clocks[3] == Speed("gpu", 1300.5, 1300.5, 1300.5, None)
    assert [clock.pinned for clock in clocks] == [False, False, False, True]
    assert all_pinned(clocks) is False
    assert gpu_load(tmp_path) == pytest.approx(0.123)


def test_a_machine_that_shows_nothing_is_no_error(tmp_path: Path) -> None:
    assert (read_clocks(tmp_path), all_pinned([]), gpu_load(tmp_path)) == ([], None, None)
    assert (temperatures(tmp_path), throttling(tmp_path)) == ({}, 0)
    assert read_usage(tmp_path) == (None, None)


def test_heat_is_read_by_name_and_parts_that_are_off_are_left_out(tmp_path: Path) -> None:
    zones = "sys/class/thermal/thermal_zone"
    lay(tmp_path, {f"{zones}0/type": "CPU-therm", f"{zones}0/temp": "49968",
                   f"{zones}1/type": "CV0-therm", f"{zones}1/temp": "-256000",
                   f"{zones}2/type": "GPU-therm", f"{zones}2/temp": ""})  # fmt: skip
    assert temperatures(tmp_path) == {"CPU-therm": 49.968}


def test_throttling_counts_alarms_events_and_cooling_but_no_fan(tmp_path: Path) -> None:
    lay(tmp_path, {"sys/class/hwmon/hwmon3/curr1_crit_alarm": "1",
                   "sys/class/hwmon/hwmon4/curr2_crit_alarm": "0",
                   f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "5",
                   "sys/class/thermal/cooling_device0/type": "pwm-fan",
                   "sys/class/thermal/cooling_device0/cur_state": "3",
                   "sys/class/thermal/cooling_device1/type": "gpu-throttle-alert",
                   "sys/class/thermal/cooling_device1/cur_state": "1"})  # fmt: skip
    assert throttling(tmp_path) == 7


def test_usage_adds_what_everybody_did_and_what_is_swapped(tmp_path: Path) -> None:
    lay(tmp_path, {"proc/stat": "cpu  100 10 50 9999 77 5 5 30 8 0\ncpu0 1 1 1 1",
                   "proc/meminfo": "MemTotal: 100 kB\nSwapTotal:  4096 kB\nSwapFree:  1024 kB"})  # fmt: skip
    assert read_usage(tmp_path, ticks=100) == (2.0, 3.0)


def test_this_machine_can_be_looked_at() -> None:
    clock = SimulatedTime()
    seen = look(clock.time)
    assert seen.at == 0
    assert seen.throttling >= 0


def test_watching_looks_at_least_before_and_after(tmp_path: Path) -> None:
    clock = SimulatedTime()
    with watching(clock.time, tmp_path, lambda words: "NV Power Mode: MAXN\n0\n") as end:
        clock.work(5)
        told = end()
    assert [each.at for each in (told.looks[0], told.looks[-1])] == [0, 5]
    assert (told.power_mode_before, told.power_mode_after) == ("MAXN", "MAXN")
