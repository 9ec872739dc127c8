"""The doctor on memory, storage, clocks and heat: what it reads from machines, and what it advises."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge.jetson_kit import RELEASES, Release, lay_jetson, programs
from edge.test_doctor import ORIN, PC
from edgecam.commands import doctor as command
from edgecam.doctor import diagnose
from edgecam.doctor_finding import Finding
from edgecam.inventory import Inventory, take_inventory
from edgecam.telemetry.clocks import Speed
from edgecam.telemetry.memory import Memory, Swap, read_memory
from edgecam.telemetry.state import State, read_state
from edgecam.telemetry.storage import Disk, disk_name, kind_of, read_disk

SUBJECTS = ("Clocks", "Heat", "Memory", "Storage")
ZRAM = Swap("/dev/zram0", 3800, 0)
MOVING = (Speed("cpu0", 729, 729, 2201, "schedutil"), Speed("gpu", 306, 306, 1300, "nvhost_podgov"))


def lay(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


def about(name: str, machine: Inventory) -> Finding:
    return next(finding for finding in diagnose(machine) if finding.name == name)


def with_state(machine: Inventory, **changes: object) -> Inventory:
    return replace(machine, state=replace(machine.state, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("release", RELEASES, ids=lambda each: each.jetpack)
def test_a_developer_kit_of_every_jetpack_is_read_and_has_nothing_to_note_here(
    tmp_path: Path, release: Release
) -> None:
    lay_jetson(tmp_path, release)
    machine = take_inventory(tmp_path, programs(tmp_path))
    machine = replace(machine, state=read_state(tmp_path, Path("/")))
    assert machine.board is not None
    assert machine.board.jetpack == release.jetpack
    findings = {name: about(name, machine) for name in SUBJECTS}
    storage = findings.pop("Storage")
    assert storage.found.startswith("eMMC, ")
    assert [finding.found for finding in findings.values() if finding.status != "ok"] == []
    assert findings["Clocks"].found.startswith("held: cpu0 2202 of 2202 MHz (schedutil), cpu4 2202")
    assert "gpu 1300 of 1300 MHz" in findings["Clocks"].found
    zram = "none" if release.jetpack == "7.2" else "/dev/zram0 31.4 GB (0.0 used)"
    assert findings["Memory"].found.endswith(f"swap: {zram}")
    hottest = {"5": "43 C at most, in ", "6": "50 C at most, in cpu", "7": "53 C at most, in cpu"}
    assert findings["Heat"].found.startswith(hottest[release.jetpack[0]])


@pytest.mark.parametrize(
    ("machine", "subject", "found", "todo"),
    [
        (
            with_state(ORIN, memory=Memory(4000, 3000, (ZRAM,))),
            "Memory",
            "4.0 GB, 3.0 left; swap: /dev/zram0 3.8 GB (0.0 used); TensorRT's builder may be killed",
            "sudo systemctl disable nvzramconfig",
        ),
        (with_state(PC, memory=Memory(4000, 3000)), "Memory", "swap: none; TensorRT's builder", "mkswap"),
        (with_state(PC, memory=Memory(9000, 300)), "Memory", "nearly nothing", "ps -eo rss"),
        (
            with_state(ORIN, memory=Memory(62000, 900, (ZRAM._replace(used=900),))),
            "Memory",
            "(0.9 used); what is swapped answers late",
            "isolate multi-user.target",
        ),
        (with_state(ORIN, disk=Disk("eMMC", 1.5, 57, False)), "Storage", "1.5 of 57 GB free", "apt clean"),
        (with_state(ORIN, disk=Disk("SD card", 20, 57, False)), "Storage", "it is slow", "--record"),
        (with_state(ORIN, disk=Disk("eMMC", 20, 57, False, ("NVMe",))), "Storage", "an NVMe disk", "swap"),
        (with_state(PC, disk=Disk("overlay", 20, 57, True)), "Storage", "can only be read", "-v /data"),
        (
            with_state(ORIN, clocks=MOVING),
            "Clocks",
            "they move with the load: cpu0 729 of 2201 MHz (schedutil), gpu 306 of 1300 MHz (nvhost_podgov)",
            "sudo jetson_clocks",
        ),
        (
            with_state(PC, clocks=(Speed("cpu0", 1400, 400, 1400, "powersave", 4800),)),
            "Clocks",
            "held below the 4800 MHz",
            "cpupower frequency-set --max 4800MHz",
        ),
        (with_state(ORIN, celsius={"tj": 88.2, "gpu": 40}), "Heat", "88 C at most, in tj", "--fan"),
        (
            with_state(ORIN, celsius={"tj": 96}, slowed_by=("cpu-throttle-alert",)),
            "Heat",
            "held back now by cpu-throttle-alert",
            "nvpmodel -m",
        ),
        (with_state(PC, slowed_so_often=7), "Heat", "slowed itself down 7 times", "fan"),
    ],
)
def test_each_trouble_is_noted_with_its_remedy(
    machine: Inventory, subject: str, found: str, todo: str
) -> None:
    finding = about(subject, machine)
    assert finding.status == "note"
    assert found in finding.found
    assert todo in finding.todo


@pytest.mark.parametrize(
    ("machine", "subject"),
    [
        (with_state(PC, memory=Memory(4000, 3000, (Swap("/swapfile", 8000, 0),))), "Memory"),
        (with_state(ORIN, memory=Memory(62000, 60000)), "Memory"),
        (with_state(ORIN, disk=Disk("eMMC", 20, 57, False)), "Storage"),
        (with_state(ORIN, disk=Disk("NVMe", 20, 57, False, ("eMMC",))), "Storage"),
        (with_state(PC, clocks=MOVING), "Clocks"),
        (with_state(ORIN, celsius={"tj": 60}), "Heat"),
    ],
)
def test_what_is_well_is_said_to_be(machine: Inventory, subject: str) -> None:
    assert about(subject, machine).status == "ok"


def test_a_machine_that_tells_nothing_is_no_trouble() -> None:
    for name in SUBJECTS:
        assert about(name, replace(PC, state=State())).status == "ok"


def test_swap_is_read_with_what_lies_behind_it(tmp_path: Path) -> None:
    lay(
        tmp_path,
        proc__meminfo="MemTotal: 8192000 kB\nMemAvailable: 4096000 kB",
        proc__swaps="Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1024000 512000 5\n"
        "/mnt/a\\040file file 2048000 0 -2\nnonsense",
    )
    told = read_memory(tmp_path)
    assert told == (8000, 4000, (Swap("/dev/zram0", 1000, 500), Swap("/mnt/a file", 2000, 0)))
    assert [swap.compressed for swap in told.swaps] == [True, False]
    assert told.swap_on_disk == 2000
    assert read_memory(tmp_path / "none") == Memory()


@pytest.mark.parametrize(
    ("folder", "kind", "read_only"),
    [
        ("/srv/films", "eMMC", False),
        ("/mnt/nvme/films", "NVMe", False),
        ("/mnt/nvme2", "eMMC", False),  # not below /mnt/nvme, whatever it begins with
        ("/media/a card", "SD card", True),
        ("/dev/shm/x", "tmpfs", False),
    ],
)
def test_a_folder_is_on_the_disk_that_is_mounted_deepest(
    tmp_path: Path, folder: str, kind: str, read_only: bool
) -> None:
    lay(
        tmp_path,
        proc__mounts="rootfs / rootfs rw 0 0\n/dev/mmcblk0p1 / ext4 rw,relatime 0 0\n"
        "/dev/nvme0n1p1 /mnt/nvme ext4 rw 0 0\n/dev/mmcblk1p2 /media/a\\040card vfat ro,noatime 0 0\n"
        "tmpfs /dev/shm tmpfs rw 0 0\nbroken",
        sys__block__mmcblk0__device__type="MMC",
        sys__block__mmcblk1__device__type="SD",
        sys__block__nvme0n1__size="1",
        sys__block__zram0__size="1",
    )
    disk = read_disk(Path(folder), tmp_path, lambda path: (64 * 10**9, 44 * 10**9, 20 * 10**9))
    assert disk is not None
    assert (disk.kind, disk.read_only, disk.free_gb, disk.total_gb) == (kind, read_only, 20, 64)
    assert set(disk.others) == {"eMMC", "SD card", "NVMe"} - {kind}


def test_a_folder_that_is_gone_is_on_no_disk(tmp_path: Path) -> None:
    assert read_disk(tmp_path / "gone") is None
    here = read_disk(tmp_path)
    assert here is not None
    assert 0 <= here.free_gb <= here.total_gb


@pytest.mark.parametrize(
    ("partition", "disk"),
    [
        ("nvme0n1p2", "nvme0n1"), ("nvme0n1", "nvme0n1"), ("mmcblk0p1", "mmcblk0"), ("mmcblk1", "mmcblk1"),
        ("sda1", "sda"), ("vda", "vda"), ("vdb12", "vdb"), ("mapper-root", "mapper-root"),
    ],
)  # fmt: skip
def test_a_partition_is_of_its_disk(partition: str, disk: str) -> None:
    assert disk_name(partition) == disk


@pytest.mark.parametrize(
    ("name", "rotational", "kind"),
    [
        ("sda", "1", "hard disk"), ("sda", "0", "SSD"), ("vda", "1", "virtual disk"),
        ("nvme0n1", "0", "NVMe"), ("zram0", "0", None), ("loop3", "1", None), ("mmcblk0boot0", "0", None),
    ],
)  # fmt: skip
def test_disks_are_known_by_their_kind(tmp_path: Path, name: str, rotational: str, kind: str | None) -> None:
    lay(tmp_path, **{f"{name}__queue__rotational": rotational})
    assert kind_of(tmp_path / name) == kind


def test_what_slows_a_machine_down_is_named(tmp_path: Path) -> None:
    lay(
        tmp_path,
        sys__class__hwmon__hwmon3__curr1_crit_alarm="1",
        sys__class__hwmon__hwmon3__in1_label="VDD_GPU_SOC",
        sys__class__hwmon__hwmon3__curr2_crit_alarm="0",
        sys__class__hwmon__hwmon5__oc1_event_cnt="4",
        sys__class__thermal__cooling_device0__type="pwm-fan",
        sys__class__thermal__cooling_device0__cur_state="3",
        sys__class__thermal__cooling_device1__type="gpu-throttle-alert",
        sys__class__thermal__cooling_device1__cur_state="1",
    )
    state = read_state(tmp_path, tmp_path)
    assert state.slowed_by == ("over-current alarm of VDD_GPU_SOC", "gpu-throttle-alert")
    assert state.slowed_so_often == 4


def test_the_findings_are_in_the_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = with_state(ORIN, clocks=MOVING)
    monkeypatch.setattr(command, "take_inventory", lambda: machine)
    assert command.doctor(json=True) is True
    told = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["findings"]}
    assert told["Clocks"]["status"] == "note"
    assert "sudo jetson_clocks" in told["Clocks"]["todo"]
    assert set(SUBJECTS) <= set(told)
