"""Events, alarms and cameras as JSON: one form, that which docs/events.md describes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.told_kit import alarm, event, status
from edgecam.documents import alarm_document, event_document, status_document
from edgecam.sinks.jsonlines import JsonLines
from edgecam.web.about import About
from edgecam.web.hub import Hub

TEXT = (Path(__file__).parents[2] / "docs/events.md").read_text(encoding="utf-8")
ALL = {
    "Event": event_document(event()),
    "Alarm": alarm_document(alarm()),
    "Camera": status_document(status()),
}


def described(heading: str) -> list[str]:
    """The fields in the table under a heading."""
    part = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([\w.]+)` \|", part, flags=re.MULTILINE)


def fields(document: dict[str, Any], front: str = "") -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from fields(value, f"{front}{name}.")
        else:
            yield front + name


@pytest.mark.parametrize("heading", ALL)
def test_every_field_is_described_and_no_other(heading: str) -> None:
    assert described(heading) == list(fields(ALL[heading]))


def test_lines_and_the_page_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    hub, lines = Hub(About("b", "e", "h", ("mug",), {})), JsonLines(events=True)
    try:
        for sink in (hub, lines):
            sink.event(event(phase="end"))  # type: ignore[attr-defined]
            sink.alarm(alarm())  # type: ignore[attr-defined]
            sink.status(status())  # type: ignore[attr-defined]
        told = [entry.facts for entry in hub.timeline.after(0)] + [hub.board.view("line 1")["status"]]
    finally:
        hub.end()
        hub.pictures.close()
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == told


def test_an_end_says_why_and_whatever_comes_before_it_says_null() -> None:
    assert [event_document(event(phase=phase))["why"] for phase in ("start", "update", "end")] == [
        None,
        None,
        "gone",
    ]


def test_a_camera_without_a_frame_has_no_moment_of_one() -> None:
    assert status_document(status()._replace(captured_at=None))["captured_at"] is None
