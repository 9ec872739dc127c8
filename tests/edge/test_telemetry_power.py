"""Power: tegrastats lines of every JetPack, rails in sysfs, counters of x86, and energy from them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from edge.bench_kit import SimulatedTime
from edge.jetson_kit import (
    JP5,
    JP5_LATER,
    JP6,
    JP6_NANO,
    JP7,
    RELEASES,
    Release,
    lay_jetson,
    lay_program,
    lay_rails,
)
from edgecam.bench.energy import Sampler, Trace, energy_of
from edgecam.telemetry.meter import Meter, open_meter, total_of
from edgecam.telemetry.rails import find_rails
from edgecam.telemetry.rapl import find_counters
from edgecam.telemetry.tegrastats import Core, Line, parse
from edgecam_engines.errors import MeasurementError


@pytest.fixture(autouse=True)
def no_tegrastats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only programs that a test lays out itself, on a real Jetson too."""
    monkeypatch.setattr("edgecam.telemetry.meter.shutil.which", lambda name: None)


def read(line: str) -> Line:
    found = parse(line)
    assert found is not None
    return found


@pytest.mark.parametrize("line", [JP5, JP5_LATER])
def test_a_line_of_jetpack_5_parses_to_its_numbers(line: str) -> None:
    found = read(line)
    assert (found.ram_mb, found.swap_mb) == ((1282, 62795), (0, 31398))
    assert found.cores == (Core(0, 729),) * 12
    assert (found.memory_percent, found.gpu_percent) == (0, 0)
    assert found.gpu_mhz == ((0,) if line is JP5 else (0, 0))
    assert found.celsius == {
        "cpu": 42.593, "tboard": 32, "soc2": 39.343, "tdiode": 33.25, "soc0": 39.375, "tj": 42.593,
        "soc1": 40.468,
    }  # fmt: skip
    assert found.watts == {
        "VDD_GPU_SOC": 2.399, "VDD_CPU_CV": 0.4, "VIN_SYS_5V0": 4.032, "VDDQ_VDD2_1V8AO": 0.301,
    }  # fmt: skip


def test_a_line_of_jetpack_6_parses_to_its_numbers() -> None:
    found = read(JP6)
    assert (found.ram_mb, found.swap_mb) == ((3492, 62840), (0, 31420))
    assert found.cores[:3] == (Core(30, 729), Core(3, 729), Core(1, 729))
    assert (found.memory_percent, found.gpu_percent, found.gpu_mhz) == (None, 0, ())
    assert found.celsius == {"cpu": 49.968, "soc2": 47, "soc0": 47.562, "tj": 49.812, "soc1": 46.812}
    assert found.watts == {"VDD_GPU_SOC": 3.124, "VDD_CPU_CV": 0.72, "VIN_SYS_5V0": 5.14}


def test_a_line_of_an_orin_nano_parses_to_its_numbers() -> None:
    found = read(JP6_NANO)
    assert found.cores == (Core(30, 729), Core(3, 729), None, None, None, None)
    assert (found.memory_percent, found.gpu_percent, found.gpu_mhz) == (18, 84, (713,))
    assert found.watts == {"VDD_IN": 5.14, "VDD_CPU_GPU_CV": 1.08, "VDD_SOC": 1.44}
    assert total_of(list(found.watts)) == ["VDD_IN"]


def test_a_line_of_jetpack_7_parses_to_its_numbers() -> None:
    found = read(JP7)
    assert (found.ram_mb, found.swap_mb) == ((20642, 62817), None)
    assert (len(found.cores), found.cores[0]) == (12, Core(23, 2201))
    assert (found.memory_percent, found.gpu_percent, found.gpu_mhz) == (3, 12, (1300, 1300))
    assert found.celsius == {"cpu": 52.968, "soc2": 48.406, "soc0": 49.531, "gpu": 47.625}
    assert found.watts == {"VDD_GPU_SOC": 5.139, "VDD_CPU_CV": 3.268, "VIN_SYS_5V0": 5.5}


@pytest.mark.parametrize(
    ("rails", "watts"),
    [
        ("VDD_IN 3124/3050", {"VDD_IN": 3.124}),
        ("POM_5V_IN 2532/2532 POM_5V_GPU 0/0", {"POM_5V_IN": 2.532, "POM_5V_GPU": 0.0}),
        ("VDD_IN 17mW", {"VDD_IN": 0.017}),
        ("NC 0mW/0mW NC 3mW/3mW", {}),
        ("VIC_FREQ 729 APE 174", {}),
        ("VDD_IN 5mW/6mW/7mW", {"VDD_IN": 0.005}),
    ],
)
def test_rails_come_in_many_spellings(rails: str, watts: dict[str, float]) -> None:
    assert read(f"RAM 1/2MB CPU [1%@2] {rails}").watts == watts


def test_the_date_is_no_part_of_the_line_that_matters() -> None:
    assert read(JP6) == read(JP6.split(" ", 2)[2])


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    parse(text)
    parse(f"RAM 1/2MB {text}")


def test_rails_are_found_by_label_and_those_that_lead_nowhere_are_not(tmp_path: Path) -> None:
    lay_rails(tmp_path, JP5)
    rails = find_rails(tmp_path)
    assert {name: value() for name, value in rails.items()} == pytest.approx(read(JP5).watts)
    assert total_of(list(rails)) == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]


def test_the_older_driver_tells_milliwatts(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    folder.mkdir(parents=True)
    for channel, (name, mw) in enumerate([("POM_5V_IN", 2532), ("NC", 0)]):
        (folder / f"rail_name_{channel}").write_text(name + "\n")
        (folder / f"in_power{channel}_input").write_text(f"{mw}\n")
    assert {name: value() for name, value in find_rails(tmp_path).items()} == {"POM_5V_IN": 2.532}


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.jetpack)
def test_every_jetpack_has_a_meter_and_it_is_the_monitor(tmp_path: Path, release: Release) -> None:
    root = lay_jetson(tmp_path, release)
    with open_meter(root) as meter:
        assert meter.name == "ina3221"
        told = meter.read() or {}
        expected = read(release.tegrastats).watts
        assert {name: told[name] for name in expected} == pytest.approx(expected)
        assert "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0" in meter.scope
        assert "not the carrier board" in meter.scope
        assert meter.interval <= 0.1


def test_without_the_monitor_tegrastats_is_asked(tmp_path: Path) -> None:
    program = lay_program(tmp_path, "tegrastats", f"while sleep 0.02; do echo '{JP7}'; done")
    with open_meter(tmp_path, str(program)) as meter:
        assert meter.name == "tegrastats"
        values = None
        while values is None:
            values = meter.read()
        assert values == read(JP7).watts


def test_a_tegrastats_without_rails_is_said_to_have_none(tmp_path: Path) -> None:
    program = lay_program(tmp_path, "tegrastats", "echo 'RAM 1/2MB CPU [1%@2]'")
    with pytest.raises(MeasurementError, match="prints no power rails"), open_meter(tmp_path, str(program)):
        pass


def zone(root: Path, name: str, label: str, microjoules: int) -> Path:
    folder = root / "sys/class/powercap" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{label}\n")
    (folder / "max_energy_range_uj").write_text("1000000\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


def test_x86_counts_by_package_and_its_counter_never_falls_back(tmp_path: Path) -> None:
    energy = zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl:1", "psys", 5)
    counters = find_counters(tmp_path).counters
    assert list(counters) == ["package-0"]
    told = [counters["package-0"]()]
    for microjoules in (950_000, 100_000, 300_000, 200_000):  # wraps at a million, twice
        energy.write_text(f"{microjoules}\n")
        told.append(counters["package-0"]())
    assert told == pytest.approx([0.9, 0.95, 1.1, 1.3, 2.2])
    with open_meter(tmp_path) as meter:
        assert (meter.name, meter.counts) == ("rapl", True)


def test_a_machine_that_tells_nothing_says_so(tmp_path: Path) -> None:
    words = r"tells nothing about its power(.|\n)*on the device"
    with pytest.raises(MeasurementError, match=words), open_meter(tmp_path):
        pass


# -- energy


def trace(watts: object, hz: float = 50, seconds: float = 12, counts: bool = False) -> Trace:
    at = np.arange(0, seconds, 1 / hz)
    return Trace(at, ["VDD_IN"], np.asarray(watts(at))[:, None], counts)  # type: ignore[operator]


@pytest.mark.parametrize("hz", [10, 25, 50])
def test_the_energy_of_a_synthetic_trace_is_its_integral(hz: float) -> None:
    def watts(at: object) -> object:
        return 8 + 3 * np.sin(2 * np.pi * np.asarray(at) / 1.7) + 0.2 * np.asarray(at)

    begin, end = 2.013, 9.871
    known, _ = integrate.quad(watts, begin, end)
    found = trace(watts, hz).joules(begin, end)["VDD_IN"]
    assert found == pytest.approx(known, rel=1e-3)


@given(st.lists(st.floats(0, 60), min_size=141, max_size=141), st.floats(0, 1), st.floats(8, 9.9))
def test_straight_power_between_samples_is_integrated_exactly(
    values: list[float], begin: float, end: float
) -> None:
    at = np.arange(141) / 14
    told = Trace(at, ["x"], np.array(values)[:, None], False).joules(begin, end)["x"]
    fine = np.linspace(begin, end, 20_001)
    known = np.trapezoid(np.interp(fine, at, values), fine)
    assert told == pytest.approx(known, rel=1e-3, abs=1e-3)


def test_a_counter_is_read_at_both_ends() -> None:
    told = trace(lambda at: 100 + 5 * at, counts=True).joules(2, 10)
    assert told == {"VDD_IN": pytest.approx(40)}


def test_a_gap_is_refused_and_so_is_what_was_never_sampled() -> None:
    at = np.concatenate([np.arange(0, 5, 0.05), np.arange(5.6, 12, 0.05)])
    torn = Trace(at, ["x"], np.ones((len(at), 1)), False)
    with pytest.raises(MeasurementError, match=r"gap of 0\.6\d s"):
        torn.joules(1, 11)
    with pytest.raises(MeasurementError, match="gap of"):
        torn.joules(6, 14)
    assert torn.joules(5.6, 11.9)["x"] == pytest.approx(6.3)


def test_a_short_window_is_refused() -> None:
    with pytest.raises(MeasurementError, match=r"4\.0 s is too short(.|\n)*--runs"):
        trace(np.ones_like).joules(1, 5)


def test_too_slow_sampling_is_refused() -> None:
    with pytest.raises(MeasurementError, match="sampled 5"):
        trace(np.ones_like, hz=5).joules(1, 9)


def test_joules_for_each_inference_are_told_with_and_without_what_idling_takes() -> None:
    at = np.arange(0, 20, 0.05)
    busy = np.where(at > 9, 10.0, 4.0)
    names = ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"]
    values = np.stack([busy, busy / 2, np.ones_like(at), np.full_like(at, 0.3)], axis=1)
    rails = Trace(at, names, values, False)
    meter = Meter("ina3221", "the module", False, 0.02, lambda: None)
    told = energy_of(meter, rails, (1, 7), (10, 18), 400).document()
    assert told["total_j"] == pytest.approx(8 * 16)  # 10 + 5 + 1 W: the fourth rail is not in the sum
    assert told["rails_j"]["VDDQ_VDD2_1V8AO"] == pytest.approx(2.4)
    assert told["idle_w"] == pytest.approx(7)
    assert told["j_per_inference"] == pytest.approx(0.32)
    assert told["j_per_inference_above_idle"] == pytest.approx(8 * 9 / 400)
    assert told["samples_per_s"] == pytest.approx(20, rel=0.02)


def test_the_sampler_keeps_what_was_read_and_leaves_out_what_was_not() -> None:
    clock = SimulatedTime()
    answers = iter([{"a": 1.0, "b": 2.0}, None, {"a": 3.0}])
    meter = Meter("x", "y", False, 0.1, lambda: next(answers))
    sampler = Sampler(meter, clock.time)
    going = iter([True, True, True, False])
    sampler.follow(lambda: next(going))
    told = sampler.trace()
    assert told.rails == ["a"]
    assert told.at == pytest.approx([0, 0.2])
    assert told.values[:, 0] == pytest.approx([1, 3])
