"""A Jetson laid out under a folder, one for each JetPack: what its files and programs would say.

Release lines, tegrastats lines and the INA3221's layout are those of real boards; the monitors' numbers are
those of the tegrastats line of the same JetPack.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from edgecam.board import Command

IDLE_CORES = ",".join(["0%@729"] * 12)
# 64 GB developer kit, MAXN, idle.
JP5 = (
    f"04-24-2023 00:01:24 RAM 1282/62795MB (lfb 15152x4MB) SWAP 0/31398MB (cached 0MB) CPU [{IDLE_CORES}] "
    "EMC_FREQ 0%@2133 GR3D_FREQ 0%@0 GR3D2_FREQ 0%@0 VIC_FREQ 729 APE 174 CV0@-256C CPU@42.593C Tboard@32C "
    "SOC2@39.343C Tdiode@33.25C SOC0@39.375C CV1@-256C GPU@-256C tj@42.593C SOC1@40.468C CV2@-256C "
    "VDD_GPU_SOC 2399mW/2399mW VDD_CPU_CV 400mW/400mW VIN_SYS_5V0 4032mW/4032mW NC 0mW/0mW "
    "VDDQ_VDD2_1V8AO 301mW/301mW NC 0mW/0mW"
)
JP5_LATER = JP5.replace("GR3D_FREQ 0%@0 GR3D2_FREQ 0%@0", "GR3D_FREQ 0%@[0,0]")
JP6 = (
    "05-04-2025 12:59:49 RAM 3492/62840MB (lfb 35x4MB) SWAP 0/31420MB (cached 0MB) "
    f"CPU [30%@729,3%@729,{','.join(['1%@729'] * 10)}] GR3D_FREQ 0% cpu@49.968C soc2@47C soc0@47.562C "
    "tj@49.812C soc1@46.812C VDD_GPU_SOC 3124mW/3124mW VDD_CPU_CV 720mW/720mW VIN_SYS_5V0 5140mW/5140mW"
)
# With sudo, on an Orin Nano.
JP6_NANO = (
    "05-04-2025 12:59:49 RAM 3492/7620MB (lfb 35x4MB) SWAP 0/3810MB (cached 0MB) "
    "CPU [30%@729,3%@729,off,off,off,off] EMC_FREQ 18%@3199 GR3D_FREQ 84%@[713] NVENC 1%@115 NVDEC 40%@115 "
    "NVJPG off NVDLA0 off cpu@49.968C tj@49.968C VDD_IN 5140mW/5140mW VDD_CPU_GPU_CV 1080mW/1100mW "
    "VDD_SOC 1440mW/1440mW"
)
JP7 = (
    f"07-25-2026 09:08:28 RAM 20642/62817MB (lfb 1x2MB) CPU [23%@2201,{','.join(['5%@2201'] * 11)}] "
    "EMC_FREQ 3%@3199 GR3D_FREQ 12%@[1300,1300] NVENC0 off NVDLA0 off NVDLA1 off PVA0_FREQ off APE 174 "
    "cpu@52.968C/52.968C soc2@48.406C/48.406C soc0@49.531C/49.531C gpu@47.625C/47.625C "
    "VDD_GPU_SOC 5139mW/5139mW/5139mW VDD_CPU_CV 3268mW/3268mW/3268mW VIN_SYS_5V0 5500mW/5500mW/5500mW"
)


class Release(NamedTuple):
    """What one JetPack says of itself."""

    jetpack: str
    l4t: str
    line: str  # of /etc/nv_tegra_release
    tegrastats: str
    tensorrt: str


def _release(jetpack: str, major: int, rest: str, tegrastats: str, tensorrt: str) -> Release:
    line = f"# R{major} (release), REVISION: {rest}, GCID: 1, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8"
    return Release(jetpack, f"{major}.{rest}", line, tegrastats, tensorrt)


RELEASES: Final = (
    _release("5.1.1", 35, "3.1", JP5, "8.5.2"),
    _release("5.1.2", 35, "4.1", JP5, "8.5.2"),
    _release("5.1.3", 35, "5.0", JP5_LATER, "8.5.2"),
    _release("5.1.4", 35, "6.0", JP5_LATER, "8.5.2"),
    _release("6.0", 36, "3.0", JP6, "8.6.2"),
    _release("6.1", 36, "4.0", JP6, "10.3.0"),
    _release("6.2", 36, "4.3", JP6, "10.3.0"),
    _release("6.2.1", 36, "4.4", JP6, "10.3.0"),
    _release("6.2.2", 36, "5.0", JP6, "10.3.0"),
    _release("7.2", 39, "2.0", JP7, "10.16.1"),
)
MODEL: Final = "NVIDIA Jetson AGX Orin Developer Kit"
CHANNELS: Final = {
    "1-0040": ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    "1-0041": ("NC", "VDDQ_VDD2_1V8AO", "NC"),
}


def lay_jetson(root: Path, release: Release, *, mode: str = "MAXN") -> Path:
    """A whole Jetson under `root`; the path of its programs, `root/usr/bin`, holds stubs that answer."""
    _write(root / "etc/nv_tegra_release", release.line)
    # The device tree's strings end with NUL.
    _write(root / "proc/device-tree/model", f"{MODEL}\0")
    _write(root / "proc/device-tree/compatible", "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0")
    lay_rails(root, release.tegrastats)
    _lay_clocks(root)
    _lay_heat(root, release.tegrastats)
    _lay_memory(root, release.tegrastats)
    _lay_disks(root)
    lay_program(root, "tegrastats", f"echo '{release.tegrastats}'; sleep 0.02; echo '{release.tegrastats}'")
    lay_program(root, "nvpmodel", f"echo 'NV Power Mode: {mode}'; echo 0")
    lay_program(root, "dpkg-query", f"echo {release.l4t}-20250107174145")
    return root


def lay_rails(root: Path, line: str) -> None:
    """The two INA3221 monitors, with the milliwatts of a tegrastats line (1000 mV, so mA are mW)."""
    told = {name: int(mw) for name, mw in re.findall(r"(V\w+) (\d+)mW", line)}
    for number, (address, channels) in enumerate(CHANNELS.items()):
        folder = root / f"sys/bus/i2c/drivers/ina3221/{address}/hwmon/hwmon{3 - number}"
        for channel, name in enumerate(channels, start=1):
            _write(folder / f"in{channel}_label", name)
            _write(folder / f"in{channel}_input", "1000")
            _write(folder / f"curr{channel}_input", str(told.get(name, 0)))
        _write(folder / "in7_label", "sum of shunt voltages")
        _write(folder / "in7_input", "2")


def lay_program(root: Path, name: str, script: str) -> Path:
    path = root / "usr/bin" / name
    _write(path, f"#!/bin/sh\n{script}")
    path.chmod(0o755)
    return path


def programs(root: Path) -> Command:
    """Runs what lies in the root's usr/bin, and nothing else."""
    from edgecam.board import run_command

    def run(words: Sequence[str]) -> str:
        path = root / "usr/bin" / words[0]
        return run_command([str(path), *words[1:]]) if path.exists() else ""

    return run


def _lay_clocks(root: Path) -> None:
    for policy in (0, 4, 8):
        folder = root / f"sys/devices/system/cpu/cpufreq/policy{policy}"
        for which in ("cur", "min", "max"):
            _write(folder / f"scaling_{which}_freq", "2201600")
        _write(folder / "scaling_governor", "schedutil")
    _write(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "schedutil")
    gpu = root / "sys/class/devfreq/17000000.gpu"
    for which in ("cur", "min", "max"):
        _write(gpu / f"{which}_freq", "1300500000")
    _write(gpu / "device/load", "0")


def _lay_heat(root: Path, line: str) -> None:
    for number, (name, degrees) in enumerate(re.findall(r"(\w+)@(-?[\d.]+)C", line)):
        _write(root / f"sys/class/thermal/thermal_zone{number}/type", f"{name}-thermal")
        _write(root / f"sys/class/thermal/thermal_zone{number}/temp", f"{float(degrees) * 1000:.0f}")


def _lay_memory(root: Path, line: str) -> None:
    """As JetPack sets it up: swap is memory, compressed, half of all of it. Not told on 7.2: none."""
    used, total = map(int, re.findall(r"RAM (\d+)/(\d+)MB", line)[0])
    swaps = [(int(taken), int(size)) for taken, size in re.findall(r"SWAP (\d+)/(\d+)MB", line)]
    _write(
        root / "proc/meminfo",
        f"MemTotal: {total * 1024} kB\nMemAvailable: {(total - used) * 1024} kB\n"
        f"SwapTotal: {sum(size for _, size in swaps) * 1024} kB\n"
        f"SwapFree: {sum(size - taken for taken, size in swaps) * 1024} kB",
    )
    rows = [f"/dev/zram{n} partition {size * 1024} {taken * 1024} 5" for n, (taken, size) in enumerate(swaps)]
    _write(root / "proc/swaps", "\n".join(["Filename Type Size Used Priority", *rows]))


def _lay_disks(root: Path) -> None:
    """The root lies on the module's eMMC."""
    _write(root / "sys/block/mmcblk0/device/type", "MMC")
    _write(root / "sys/block/mmcblk0/queue/rotational", "0")
    _write(root / "sys/block/zram0/queue/rotational", "0")
    _write(root / "proc/mounts", "/dev/mmcblk0p1 / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0")


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content + "\n")
