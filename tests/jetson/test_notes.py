"""The notes for the board: every command of ours in them exists, with its options; every file too."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from edgecam.cli import app

JETSON = Path(__file__).parents[2] / "jetson"
NOTES = sorted(JETSON.glob("*.md"))
COMMANDS: Any = get_command(app)


def ours(text: str) -> list[str]:
    """Whole commands of edgecam, from code of a line and from code blocks."""
    code = re.findall(r"`([^`\n]+)`", text)
    blocks = [
        line for block in re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
    ]
    blocks += re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    found = [line.split("#")[0].strip() for line in [*code, *blocks]]
    return [line.replace(".venv/bin/", "") for line in found if re.match(r"(\.venv/bin/)?edgecam \S", line)]


def test_there_are_commands_to_check() -> None:
    assert sum(len(ours(note.read_text())) for note in NOTES) >= 15


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.name)
def test_every_command_of_ours_is_one_with_those_options(note: Path) -> None:
    for line in ours(note.read_text()):
        _, name, *words = shlex.split(line.replace("...", ""))
        command = COMMANDS.commands.get(name)
        assert command is not None, line
        known = {
            option for parameter in command.params for option in parameter.opts + parameter.secondary_opts
        }
        asked = {word.split("=")[0] for word in words if word.startswith("--")}
        assert asked <= known, f"{line}: {asked - known}"


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.name)
def test_every_link_leads_somewhere(note: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", note.read_text()):
        assert (note.parent / target).exists(), target


def test_the_first_hour_is_commands_with_what_they_say() -> None:
    rows = re.findall(
        r"^\| (\d+) \| `(.+)` \| (.+) \|$", (JETSON / "first-hour.md").read_text(), re.MULTILINE
    )
    assert [int(number) for number, _, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 15
    assert all(expected.strip() for _, _, expected in rows)


@pytest.mark.parametrize("name", ["Dockerfile.jp6", "Dockerfile.jp7"])
def test_the_images_run_as_a_user_and_take_no_opencv_from_pip(name: str) -> None:
    lines = (JETSON / name).read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER edgecam"]
    assert not any("opencv-python" in line for line in lines)
    assert any("--system-site-packages" in line for line in lines)
