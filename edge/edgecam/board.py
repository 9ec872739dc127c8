"""Which Jetson this is, with which JetPack, in which power mode. Every path hangs from `root`."""

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

Command: TypeAlias = Callable[[Sequence[str]], str]  # what a program prints; "" when it is absent or fails

# L4T release without a final ".0" -> JetPack. Source: NVIDIA's JetPack archive.
JETPACK: Final[dict[str, str]] = {
    "35.3.1": "5.1.1",
    "35.4.1": "5.1.2",
    "35.5": "5.1.3",
    "35.6": "5.1.4",
    "36.2": "6.0 DP",
    "36.3": "6.0",
    "36.4": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5": "6.2.2",
    "38.2": "7.0",
    "38.4": "7.1",
    "39.2": "7.2",
}
_RELEASE: Final = re.compile(r"#\s*R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)")
_MODE: Final = re.compile(r"NV Power Mode:\s*(\S+)")


@dataclass(frozen=True)
class Board:
    """One Jetson. A field is None when the board does not tell."""

    model: str  # "NVIDIA Jetson AGX Orin Developer Kit"
    l4t: str | None  # release of NVIDIA's Linux, "36.4.3"
    jetpack: str | None  # "6.2"; None also for a release that this edgecam has not heard of
    power_mode: str | None  # by name, "MAXN": the numbers mean other modes on other modules


def run_command(words: Sequence[str]) -> str:
    """What a program prints within five seconds; "" when it is not here or fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=5, check=True, errors="replace")
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def read_board(root: Path = Path("/"), run: Command = run_command) -> Board | None:
    """The Jetson under `root`; None when it is not one."""
    tree = root / "proc/device-tree"
    release = _read(root / "etc/nv_tegra_release")
    # A container on a Jetson has the device tree, but not always the release file.
    if not release and "nvidia,tegra" not in _read(tree / "compatible"):
        return None
    l4t = release_of(release) or package_release(run)
    return Board(
        model=_read(tree / "model") or "a Jetson of unknown model",
        l4t=l4t,
        jetpack=jetpack_of(l4t) if l4t else None,
        power_mode=power_mode(run),
    )


def release_of(text: str) -> str | None:
    """The L4T release in /etc/nv_tegra_release. BOARD, beside it, is wrong on many boards: never read it."""
    found = _RELEASE.search(text)
    return f"{found[1]}.{found[2]}" if found else None


def package_release(run: Command) -> str | None:
    """The L4T release by its Debian package, "36.4.3-20250107174145" -> "36.4.3"."""
    version = run(["dpkg-query", "--showformat=${Version}", "--show", "nvidia-l4t-core"])
    return version.split("-")[0].strip() or None


def jetpack_of(l4t: str) -> str | None:
    """The JetPack that a release belongs to, if this edgecam has heard of it."""
    return JETPACK.get(l4t.removesuffix(".0"))


def power_mode(run: Command) -> str | None:
    """The power mode's name, as `nvpmodel -q` gives it."""
    found = _MODE.search(run(["nvpmodel", "-q"]))
    return found[1] if found else None


def _read(path: Path) -> str:
    """A file's text without the NUL that ends each string of the device tree; "" when there is none."""
    try:
        return path.read_text(errors="replace").replace("\0", "\n").strip()
    except OSError:
        return ""
