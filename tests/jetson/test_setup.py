"""The set-up script on laid-out Jetsons: what it finds, what it does, and what it never does."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from edge.jetson_kit import RELEASES, Release, lay_jetson, lay_program

SETUP = Path(__file__).parents[2] / "jetson" / "setup.sh"
GSTREAMER = "    GStreamer:                   YES (1.20.3)"
# Makes a virtual environment of stubs, and notes everything that it is asked for.
PYTHON = """
echo "python3 $*" >> "{log}"
case "$*" in
    *version_info*) echo "{python}" ;;
    *getBuildInformation*) {opencv} ;;
    *ensurepip*) exit 0 ;;
    "-m venv --system-site-packages "*)
        mkdir -p "$4/bin"
        echo "include-system-site-packages = true" > "$4/pyvenv.cfg"
        printf '#!/bin/sh\\necho "pip $*" >> "{log}"\\n' > "$4/bin/pip"
        printf 'case "$*" in *--report*) cat "{plan}" ;; esac\\n' >> "$4/bin/pip"
        chmod +x "$4/bin/pip" ;;
    *) exit 1 ;;
esac
"""


class Board(NamedTuple):
    """A laid-out Jetson and what its programs were asked to do."""

    root: Path
    venv: Path
    log: Path

    def setup(self, *options: str) -> "subprocess.CompletedProcess[str]":
        here = {
            "PATH": f"{self.root}/usr/bin:/usr/bin:/bin",
            "EDGECAM_ROOT": str(self.root),
            "EDGECAM_VENV": str(self.venv),
            "USER": "somebody",
            "HOME": str(self.root),
        }
        return subprocess.run(
            [str(SETUP), *options], capture_output=True, text=True, env=here, timeout=60, check=False
        )

    def asked(self, program: str) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(program)]


def lay(
    root: Path,
    release: Release,
    *,
    python: str = "3.10",
    build: str = GSTREAMER,
    groups: str = "somebody video render",
    memory_kb: int = 64_000_000,
    zram_kb: int = 0,
    tensorrt: str | None = None,
    plan: str = '{"install": [{"metadata": {"name": "typer"}}]}',
) -> Board:
    lay_jetson(root, release)
    log, planned = root / "log", root / "plan.json"
    planned.write_text(plan)
    opencv = f"echo 4.8.0; echo '{build}'" if build else "exit 1"
    script = PYTHON.replace("{log}", str(log)).replace("{plan}", str(planned)).replace("{opencv}", opencv)
    lay_program(root, "python3", script.replace("{python}", python))
    version = release.tensorrt if tensorrt is None else tensorrt
    lay_program(
        root, "dpkg-query", f'case "$*" in *libnvinfer) echo "{version}.30-1+cuda12.5" ;; *) exit 1 ;; esac'
    )
    lay_program(root, "id", f'case "$1" in -u) echo 1000 ;; *) echo "{groups}" ;; esac')
    lay_program(root, "getent", "exit 0")
    swap = f"SwapTotal: {zram_kb} kB\nSwapFree: {zram_kb} kB\n"
    (root / "proc/meminfo").write_text(f"MemTotal: {memory_kb} kB\n{swap}")
    (root / "proc/swaps").write_text(
        f"Filename Type Size Used Priority\n/dev/zram0 partition {zram_kb} 0 5\n"
    )
    return Board(root, root / "venv", log)


def release(jetpack: str) -> Release:
    return next(each for each in RELEASES if each.jetpack == jetpack)


@pytest.mark.parametrize("each", RELEASES, ids=lambda each: each.jetpack)
def test_every_jetpack_is_judged_for_what_it_is(tmp_path: Path, each: Release) -> None:
    board = lay(tmp_path, each)
    done = board.setup("--check")
    line = next(line for line in done.stdout.splitlines() if " JetPack " in line)
    assert each.l4t in line
    if each.jetpack.startswith("5."):
        assert line.startswith("problem")
        assert "JetPack 5" in line
        assert done.returncode == 1
    elif each.jetpack == "6.0":
        assert line.startswith("note")
        assert "TensorRT 8.6 is too old" in line
        assert done.returncode == 0
    else:
        assert line.startswith("ok")
        assert (done.returncode, "problem" in done.stdout) == (0, False)
    assert not board.venv.exists(), "--check changes nothing"
    assert board.asked("pip") == []


@pytest.mark.parametrize("jetpack", ["6.2", "7.2"])
def test_setting_up_twice_makes_one_environment_that_sees_the_system(tmp_path: Path, jetpack: str) -> None:
    board = lay(tmp_path, release(jetpack), python="3.12" if jetpack == "7.2" else "3.10")
    for _ in range(2):
        done = board.setup()
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == f"Next: {board.venv}/bin/edgecam doctor"
    assert board.asked("python3 -m venv") == [f"python3 -m venv --system-site-packages {board.venv}"]
    bindings = "cuda-python<13" if jetpack == "6.2" else "cuda-python"
    installs = [line for line in board.asked("pip") if "--dry-run" not in line]
    assert installs == [f"pip install --quiet {SETUP.parents[1]} {bindings}"] * 2


@pytest.mark.parametrize(
    "name", ["opencv-python", "tensorrt", "tensorrt_cu12", "onnxruntime", "OpenCV-Python"]
)
def test_what_would_come_in_front_of_jetpacks_libraries_is_not_installed(tmp_path: Path, name: str) -> None:
    board = lay(tmp_path, release("6.2"), plan=f'{{"install": [{{"metadata": {{"name": "{name}"}}}}]}}')
    done = board.setup()
    assert done.returncode == 1
    assert "nothing was installed" in done.stdout
    assert all("--dry-run" in line for line in board.asked("pip"))


def test_no_problem_is_left_behind_by_an_install(tmp_path: Path) -> None:
    done = lay(tmp_path, release("5.1.2"), python="3.8").setup()
    assert done.returncode == 1
    assert "Nothing was changed" in done.stderr
    assert "3.8; edgecam needs 3.10" in done.stdout
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("changes", "words", "typed"),
    [
        ({"build": ""}, "problem  OpenCV", "sudo apt install python3-opencv"),
        ({"build": "    GStreamer:    NO"}, "without GStreamer", "pip uninstall opencv-python"),
        ({"groups": "somebody video"}, "you are not in: render", "sudo usermod -aG render somebody"),
        ({"groups": "somebody"}, "not in: video render", "sudo usermod -aG video,render somebody"),
        ({"memory_kb": 4_000_000}, "3 GB with swap", "sudo fallocate"),
        ({"memory_kb": 4_000_000, "zram_kb": 4_000_000}, "3 GB with swap, zram left out", "sudo fallocate"),
        ({"tensorrt": "8.6.2"}, "8.6.2.30 is too old", "JetPack 6.1 or later"),
    ],
)
def test_each_finding_says_what_to_type(
    tmp_path: Path, changes: dict[str, object], words: str, typed: str
) -> None:
    done = lay(tmp_path, release("6.2"), **changes).setup("--check")  # type: ignore[arg-type]
    assert words in done.stdout
    assert typed in done.stdout


def test_an_environment_that_does_not_see_the_system_is_refused(tmp_path: Path) -> None:
    board = lay(tmp_path, release("6.2"))
    board.venv.mkdir()
    (board.venv / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    done = board.setup()
    assert done.returncode == 1
    assert "does not see JetPack's packages" in done.stdout
    assert board.asked("pip") == []


def test_an_environment_with_pips_opencv_is_refused_and_left_alone(tmp_path: Path) -> None:
    board = lay(tmp_path, release("6.2"))
    assert board.setup().returncode == 0
    hidden = board.venv / "lib/python3.10/site-packages/cv2"
    hidden.mkdir(parents=True)
    done = board.setup("--check")
    assert done.returncode == 1
    assert "hides JetPack's" in done.stdout
    assert hidden.exists()


def test_another_machine_is_told_what_to_do_there(tmp_path: Path) -> None:
    board = lay(tmp_path, release("6.2"))
    (tmp_path / "etc/nv_tegra_release").unlink()
    done = board.setup("--check")
    assert done.returncode == 1
    assert "this is no Jetson" in done.stdout
    assert "pip install ." in done.stdout


def test_a_wrong_option_is_wrong_usage(tmp_path: Path) -> None:
    done = lay(tmp_path, release("6.2")).setup("--force")
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_root_is_never_asked_for(tmp_path: Path) -> None:
    # What sudo would do is printed, in single words after the finding; no line of the script calls it.
    calls = [line for line in SETUP.read_text().splitlines() if line.strip().startswith("sudo ")]
    assert calls == []


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_script_passes_shellcheck() -> None:
    done = subprocess.run(["shellcheck", str(SETUP)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_script_may_be_executed() -> None:
    assert os.access(SETUP, os.X_OK)
