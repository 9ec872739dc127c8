"""Which Jetson this is, from files laid out under a root of the test's own."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from edge import jetson_kit
from edgecam.board import (
    Command,
    jetpack_of,
    package_release,
    power_mode,
    read_board,
    release_of,
    run_command,
)
from edgecam.machine import commit, describe_machine, tensorrt_version
from edgecam_engines.processor import cpu_model

RELEASES = [
    ("# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64", "35.4.1", "5.1.2"),
    ("# R36 (release), REVISION: 3.0, GCID: 36191598, BOARD: generic, EABI: aarch64", "36.3.0", "6.0"),
    ("# R36 (release), REVISION: 4.0, GCID: 37537400, BOARD: generic, EABI: aarch64", "36.4.0", "6.1"),
    ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64", "36.4.3", "6.2"),
    ("# R39 (release), REVISION: 2.0, GCID: 40000000, BOARD: generic, EABI: aarch64", "39.2.0", "7.2"),
]
ORIN = "NVIDIA Jetson AGX Orin Developer Kit"


def answering(answers: dict[str, str]) -> Command:
    """Programs that print what they are told to; all others are not installed."""

    def run(words: Sequence[str]) -> str:
        return answers.get(words[0], "")

    return run


def jetson(root: Path, release: str | None, model: str = ORIN) -> Path:
    """The files of a Jetson; strings of the device tree end with NUL, as the kernel gives them."""
    tree = root / "proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "model").write_bytes(model.encode() + b"\0")
    (tree / "compatible").write_bytes(b"nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0")
    if release is not None:
        (root / "etc").mkdir()
        (root / "etc/nv_tegra_release").write_text(release + ", DATE: Wed Jan  8 01:49:37 UTC 2025\n")
    return root


@pytest.mark.parametrize(("line", "l4t", "name"), RELEASES)
def test_every_supported_release_is_told_with_its_jetpack(
    tmp_path: Path, line: str, l4t: str, name: str
) -> None:
    board = read_board(jetson(tmp_path, line), answering({}))
    assert board is not None
    assert (board.model, board.l4t, board.jetpack, board.power_mode) == (ORIN, l4t, name, None)


def test_a_machine_without_tegra_is_no_jetson(tmp_path: Path) -> None:
    assert read_board(tmp_path, answering({"nvpmodel": "NV Power Mode: MAXN\n0\n"})) is None
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    (tmp_path / "proc/device-tree/compatible").write_bytes(b"raspberrypi,5-model-b\0brcm,bcm2712\0")
    assert read_board(tmp_path, answering({})) is None


def test_without_the_release_file_the_package_tells(tmp_path: Path) -> None:
    board = read_board(jetson(tmp_path, None), answering({"dpkg-query": "36.4.3-20250107174145"}))
    assert board is not None
    assert (board.l4t, board.jetpack) == ("36.4.3", "6.2")


def test_a_container_that_hides_everything_else_is_still_a_jetson(tmp_path: Path) -> None:
    board = read_board(jetson(tmp_path, None), answering({}))
    assert board is not None
    assert (board.model, board.l4t, board.jetpack) == (ORIN, None, None)


def test_a_release_nobody_has_heard_of_is_told_without_a_jetpack() -> None:
    assert release_of("# R41 (release), REVISION: 1.2, GCID: 1") == "41.1.2"
    assert jetpack_of("41.1.2") is None


@pytest.mark.parametrize("text", ["", "no release", "# R36 (release)", "\x00\x01"])
def test_a_release_file_that_says_nothing_gives_nothing(text: str) -> None:
    assert release_of(text) is None


@pytest.mark.parametrize(
    ("printed", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", "MAXN"),
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_30W\n2\n", "MODE_30W"),
        ("NV Power Mode: MAXN_SUPER\n2\n", "MAXN_SUPER"),
        ("NVPM ERROR: Error opening /var/lib/nvpmodel/status: 2\n", None),
        ("", None),
    ],
)
def test_the_power_mode_is_read_by_name(printed: str, mode: str | None) -> None:
    assert power_mode(answering({"nvpmodel": printed})) == mode


def test_a_missing_package_is_no_release() -> None:
    assert package_release(answering({})) is None


def test_a_program_that_is_missing_or_fails_prints_nothing() -> None:
    assert run_command(["no-such-program-anywhere"]) == ""
    assert run_command(["false"]) == ""
    assert run_command(["echo", "yes"]) == "yes\n"


def test_a_benchmark_on_a_jetson_records_board_mode_and_governor(tmp_path: Path) -> None:
    jetson(tmp_path, RELEASES[3][0])
    governor = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("schedutil\n")
    told = describe_machine(tmp_path, answering({"nvpmodel": "NV Power Mode: MODE_50W\n3\n"}))
    assert (told["board"], told["l4t"], told["power_mode"], told["governor"]) == (
        ORIN,
        "36.4.3",
        "MODE_50W",
        "schedutil",
    )


def test_what_a_machine_does_not_tell_is_null(tmp_path: Path) -> None:
    told = describe_machine(tmp_path, answering({}))
    assert [told[key] for key in ("cpu", "governor", "board", "l4t", "power_mode")] == [None] * 5
    assert told["numpy"]


def test_an_arm_processor_is_told_by_its_part_numbers(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    core = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n\n"
    (tmp_path / "proc/cpuinfo").write_text(core * 12)
    assert cpu_model(tmp_path) == "Arm implementer 0x41 part 0xd42"


def test_a_desktop_processor_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("model name\t: Some Processor 9000\n\n" * 4)
    assert cpu_model(tmp_path) == "Some Processor 9000"


@pytest.mark.parametrize("release", jetson_kit.RELEASES, ids=lambda release: release.jetpack)
def test_a_benchmark_on_every_jetpack_says_what_it_ran_on(
    tmp_path: Path, release: jetson_kit.Release
) -> None:
    root = jetson_kit.lay_jetson(tmp_path, release, mode="MODE_50W")
    (root / "usr/local/cuda").mkdir(parents=True)
    (root / "usr/local/cuda/version.json").write_text('{"cuda": {"name": "CUDA SDK", "version": "12.6.68"}}')
    told = describe_machine(root, jetson_kit.programs(root))
    assert (told["board"], told["l4t"], told["jetpack"]) == (
        jetson_kit.MODEL,
        release.l4t,
        release.jetpack,
    )
    assert (told["power_mode"], told["governor"], told["cuda"]) == ("MODE_50W", "schedutil", "12.6.68")
    assert told["clocks_pinned"] is True
    assert [clock["name"] for clock in told["clocks"]] == ["cpu0", "cpu4", "cpu8", "gpu"]
    assert told["clocks"][3]["mhz"] == 1300.5
    assert told["celsius"]
    assert all(degrees > -256 for degrees in told["celsius"].values())


def test_tensorrt_is_told_by_its_package_and_never_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecam.machine.installed_version", lambda name: None)
    assert tensorrt_version(answering({"dpkg-query": "10.3.0.30-1+cuda12.5"})) == "10.3.0.30"
    assert tensorrt_version(answering({})) is None


def test_an_installed_package_has_no_commit_and_a_checkout_says_whether_it_was_changed() -> None:
    asked: list[Sequence[str]] = []

    def git(words: Sequence[str]) -> str:
        asked.append(words)
        return "abc123+\n" if "describe" in words else "machine.py\n"

    assert commit(git) == "abc123+"
    assert commit(answering({})) is None
    assert any("--dirty=+" in words for words in asked)
