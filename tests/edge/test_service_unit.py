"""The files that are copied to a board: a unit that systemd reads, and settings that edgecam reads."""

import configparser
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from edgecam.config.about import ABOUT
from edgecam.config.kinds import kinds
from edgecam.config.merge import settings_of
from edgecam.config.read import read_settings
from edgecam.service.reload import LIVE

JETSON = Path(__file__).parents[2] / "jetson"
UNIT = JETSON / "edgecam.service"
EXAMPLE = JETSON / "edgecam.toml"


class Every(dict[str, str]):
    """Keeps every value of a key that stands there several times, as systemd does."""

    def __setitem__(self, key: str, value: object) -> None:
        if isinstance(value, list) and key in self and isinstance(self[key], list):
            value = [*self[key], *value]
        super().__setitem__(key, value)  # type: ignore[assignment]


def unit() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    parser = configparser.RawConfigParser(strict=False, dict_type=Every, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    for section in parser.sections():
        for key, value in parser.items(section):
            found[section][key] = value.split("\n")
    return found


def test_the_unit_says_what_edgecam_relies_on() -> None:
    service = unit()["Service"]
    assert service["Type"] == ["notify"]
    assert service["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert service["Restart"] == ["on-failure"]
    assert int(service["WatchdogSec"][0]) >= 10
    assert service["RestartPreventExitStatus"] == ["2"], "wrong settings do not get better by trying"
    assert service["SuccessExitStatus"] == ["130"]
    assert service["User"] == ["edgecam"]
    assert set(service["SupplementaryGroups"][0].split()) == {"video", "render"}
    assert service["ProtectSystem"] == ["strict"]
    assert {"char-video4linux rw", "char-nvidia* rw", "/dev/nvmap rw"} <= set(service["DeviceAllow"])
    assert "PrivateDevices" not in service, "it would hide the cameras"
    assert service["ExecStart"][0].split()[1:] == ["run", "--config", "/etc/edgecam/edgecam.toml"]


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """Where systemd is not installed, its form is all that can be checked, and the test above did that."""
    words = UNIT.read_text()
    assert all(re.fullmatch(r"(\[\w+\]|[A-Z]\w+=.*|#.*|)", line) for line in words.splitlines())
    tool = shutil.which("systemd-analyze")
    if tool is None:
        return
    copy = tmp_path / "edgecam.service"
    copy.write_text(words.replace("/opt/edgecam/bin/edgecam", sys.executable))  # it wants one that exists
    done = subprocess.run(
        [tool, "verify", "--man=no", copy], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_is_taken_as_it_is() -> None:
    found = settings_of({}, EXAMPLE)
    assert found.bundle == Path("/var/lib/edgecam/line.edgecam")
    assert found.camera == ("csi://0",)


def optional() -> list[str]:
    return re.findall(r"^# (\S+ = .*)$", EXAMPLE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", optional())
def test_every_line_of_the_example_that_is_switched_off_can_be_switched_on(line: str, tmp_path: Path) -> None:
    key = line.split(maxsplit=1)[0]
    text = re.sub(rf"(?m)^{key} = .*\n", "", EXAMPLE.read_text()).replace(f"# {line}\n", f"{line}\n", 1)
    (tmp_path / "edgecam.toml").write_text(text)
    values = read_settings(tmp_path / "edgecam.toml").values
    assert set(values) <= set(kinds())
    assert key.replace("-", "_") in values


def test_all_lines_of_the_example_can_be_on_together(tmp_path: Path) -> None:
    lines: dict[str, str] = dict.fromkeys(())
    text = re.sub(r"(?m)^# (\S+ = )", r"\1", EXAMPLE.read_text())
    for line in text.splitlines():
        if re.match(r"[\w-]+ = ", line):
            lines[line.split(maxsplit=1)[0]] = line  # the last of those that stand for each other
    (tmp_path / "edgecam.toml").write_text("\n".join(lines.values()))
    found = settings_of({}, tmp_path / "edgecam.toml")
    assert found.serve == "0.0.0.0:8080"
    assert found.token_file == tmp_path / "token"


def test_what_the_example_says_of_a_reload_is_so() -> None:
    words = EXAMPLE.read_text()
    for name in ("fps", "every"):
        assert name in words
        assert name in LIVE
    assert {name for name in LIVE if ABOUT[name].panel not in {"Decisions", "Frames", "Engine"}} == set()
