"""Events, alarms and states of cameras as JSON lines and in words."""

import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from edge.decision_kit import BOX, picture
from edgecam.decisions.event import Alarm, Best, Event
from edgecam.result import Result, as_json
from edgecam.sinks.jsonlines import JsonLines
from edgecam.sinks.listener import Listener
from edgecam.sinks.notes import Notes
from edgecam.status import CameraStatus

AT = 1769860800.25  # 2026-01-31 12:00:00.250 UTC
BEST = Best(picture(7), 7, AT + 1, 0.97123, BOX, np.zeros((2, 2), np.uint8))
START = Event(
    "01ARYZ6S41TSV4RRFFQ69G5FAV", "yard", "hot spot", "start", AT, AT + 2, 3, 0.98765, BEST, lasted_s=2.0
)
END = START._replace(phase="end", why="gone", seen_at=AT + 95, frames=812, lasted_s=95.0)
ALARM = Alarm("hot spot > 3/h", "yard", "hot spot", AT, 17, 6000.0, 5.0, 1.4e-5, True)
STATUS = CameraStatus("yard", "live", AT, "", 10, 8, 1, 0, None)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def result(camera: str = "", label: str = "mug", number: int = 0) -> Result:
    return Result(number, AT, 5.0, 0, label, 0.9, None, (), None, camera)


def test_both_sinks_listen() -> None:
    assert isinstance(JsonLines(events=True), Listener)
    assert isinstance(Notes(print), Listener)


def test_an_event_is_a_line_without_its_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    sink = JsonLines(events=True)
    sink.event(START)
    sink.event(END)
    first, last = lines(capsys)
    assert first == {
        "type": "event",
        "id": "01ARYZ6S41TSV4RRFFQ69G5FAV",
        "camera": "yard",
        "label": "hot spot",
        "phase": "start",
        "why": None,
        "started_at": "2026-01-31T12:00:00.250Z",
        "seen_at": "2026-01-31T12:00:02.250Z",
        "lasted_s": 2.0,
        "frames": 3,
        "confidence": 0.9877,
        "best": {
            "frame": 7,
            "captured_at": "2026-01-31T12:00:01.250Z",
            "confidence": 0.9712,
            "box": [1, 2, 3, 4],
            "size": [6, 4],
        },
    }
    assert last == {
        **first,
        "phase": "end",
        "why": "gone",
        "seen_at": "2026-01-31T12:01:35.250Z",
        "lasted_s": 95.0,
        "frames": 812,
    }


def test_an_alarm_is_a_line_and_its_chance_keeps_its_digits(capsys: pytest.CaptureFixture[str]) -> None:
    JsonLines(events=True, unchecked=True).alarm(ALARM._replace(p=3.5e-21))
    assert lines(capsys) == [
        {
            "type": "alarm",
            "rule": "hot spot > 3/h",
            "camera": "yard",
            "label": "hot spot",
            "at": "2026-01-31T12:00:00.250Z",
            "events": 17,
            "window_s": 6000.0,
            "expected": 5.0,
            "p": 3.5e-21,
            "firing": True,
            "skip_check": True,
        }
    ]


def test_a_cameras_state_is_a_line_when_it_changes_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    sink = JsonLines(events=True)
    for processed in range(3):
        sink.status(STATUS._replace(processed=processed, captured_at=AT))
    sink.status(STATUS._replace(camera="gate"))
    sink.status(STATUS._replace(state="lost", detail="no such device"))
    sink.status(STATUS)
    said = lines(capsys)
    assert [(one["type"], one["camera"], one["state"]) for one in said] == [
        ("camera", "yard", "live"),
        ("camera", "gate", "live"),
        ("camera", "yard", "lost"),
        ("camera", "yard", "live"),
    ]
    assert said[0] == {
        "type": "camera",
        "camera": "yard",
        "state": "live",
        "since": "2026-01-31T12:00:00.250Z",
        "detail": "",
        "captured": 10,
        "processed": 0,
        "skipped": 1,
        "lost": 0,
        "captured_at": "2026-01-31T12:00:00.250Z",
        "still": 0,
        "counts_all": False,
    }
    assert said[1]["captured_at"] is None


def test_a_stream_holds_either_frames_or_events(capsys: pytest.CaptureFixture[str]) -> None:
    frames, events = JsonLines(), JsonLines(events=True)
    for sink in (frames, events):
        sink.write(picture(0), result())
    assert lines(capsys) == [as_json(result())]
    JsonLines(named=True).write(picture(0), result("yard"))
    assert lines(capsys) == [{"camera": "yard", **as_json(result())}]
    frames.event(START)
    frames.alarm(ALARM)
    frames.status(STATUS)
    assert lines(capsys) == []


def test_a_reader_that_is_gone_ends_a_stream_of_events_quietly() -> None:
    script = """
import sys
from edge.test_sinks_events import START
from edgecam.sinks.jsonlines import JsonLines
from edgecam.sinks.sink import Finished
sink = JsonLines(events=True)
try:
    for _ in range(100_000):
        sink.event(START)
except Finished:
    print("finished", file=sys.stderr)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        program.stdout.close()
        assert program.stderr is not None
        assert program.stderr.read() == b"finished\n"
    assert program.returncode == 0


def test_names_that_the_locale_cannot_spell_are_escaped() -> None:
    script = """
from edge.test_sinks_events import START
from edgecam.sinks.jsonlines import JsonLines
sink = JsonLines(events=True)
sink.event(START._replace(label="Riß \\u2603", camera="\\udcff"))
sink.event(START._replace(label="Riß"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )
    first, second = (json.loads(line) for line in done.stdout.decode("latin-1").splitlines())
    assert (first["label"], first["camera"], second["label"]) == ("Riß \u2603", "\udcff", "Riß")


def spoken(*told: Event | Alarm) -> list[str]:
    said: list[str] = []
    notes = Notes(said.append, named=True)
    for one in told:
        notes.event(one) if isinstance(one, Event) else notes.alarm(one)
    notes.status(STATUS)
    return said


def test_events_are_told_at_their_start_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecam.sinks.notes.time.localtime", time.gmtime)
    assert spoken(START, START._replace(phase="update"), END) == [
        "yard: hot spot since 12:00:00 (97 % in frame 7)",
        "yard: hot spot is over, after 95.0 s (812 frames, best 97 % in frame 7)",
    ]


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("camera lost", "yard: hot spot ended: the camera was lost, after"),
        ("stopped", "was still there, after"),
    ],
)
def test_an_end_says_why(why: str, words: str) -> None:
    assert words in spoken(END._replace(why=why))[0]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (119, "119.0 s"), (120, "2 min"), (9000, "2.5 h"), (172800, "2 days")],
)
def test_a_duration_is_told_in_a_unit_that_fits(seconds: float, words: str) -> None:
    assert f"after {words} (" in spoken(END._replace(lasted_s=seconds))[0]


def test_an_alarm_says_what_was_counted_what_was_expected_and_how_likely_that_was() -> None:
    first, over = spoken(ALARM, ALARM._replace(firing=False, events=5, p=0.56))
    assert first == (
        "yard: ALARM: hot spot 17 times in 100 min, 5 expected; so many by chance: p = 1.4e-05. "
        "Rule: hot spot > 3/h"
    )
    assert over == "yard: The alarm is over: hot spot 5 times in 100 min, 5 expected. Rule: hot spot > 3/h"


def test_each_camera_has_notes_of_its_own() -> None:
    said: list[str] = []
    notes = Notes(said.append, lambda: 0.0, named=True)
    for camera in ("yard", "gate", "yard"):
        notes.write(picture(0), result(camera))
    assert [line.split(":")[0] for line in said] == ["yard", "gate"]
