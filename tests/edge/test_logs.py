"""What stands on stderr: JSON lines, words with journald's priorities, or words."""

import io
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecam import logs
from edgecam.decisions.event import Alarm, Best, Event
from edgecam.sinks.journal import Journal
from edgecam.sinks.listener import Listener
from edgecam.status import CameraStatus, State

WORDS = st.text(min_size=1)


def run(code: str, log: str, stderr: int, **environ: str) -> "subprocess.Popen[str]":
    """Python that says things after `use`, with this stderr."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from edgecam import logs\nlogs.use({log!r})\n{code}"],
        stderr=stderr,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ},
    )


SPEAKER = """
import sys, warnings, threading
from edgecam_engines.console import log
logs.say("first line\\nand [second]", "warning", {"camera": "belt"})
print("printed\\nin two", file=sys.stderr)
log.print("by rich", markup=False)
warnings.warn("careful")
thread = threading.Thread(target=lambda: 1 / 0, name="worker"); thread.start(); thread.join()
"""


def test_every_message_is_one_json_line_whoever_said_it() -> None:
    process = run(SPEAKER, "json", subprocess.PIPE)
    err = process.communicate(timeout=60)[1]
    records = [json.loads(line) for line in err.splitlines()]
    assert all(list(record)[:3] == ["time", "level", "message"] for record in records)
    said = [record["message"] for record in records]
    assert records[0]["level"] == "warning"
    assert records[0]["camera"] == "belt"
    assert said[:3] == ["first line\nand [second]", "printed\nin two", "by rich"]
    assert "careful" in said[3]
    assert any("ZeroDivisionError" in words for words in said), "what a thread dies of is not lost"
    written = datetime.fromisoformat(records[0]["time"].replace("Z", "+00:00"))
    assert abs(datetime.now(timezone.utc) - written) < timedelta(minutes=2)


def test_under_systemd_each_line_has_its_priority(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as journal:
        about = os.fstat(journal.fileno())
        stream = f"{about.st_dev}:{about.st_ino}"
        code = 'logs.say("a\\n\\nb", "error")\nlogs.say("c", "warning")\nlogs.say("d")'
        assert run(code, "text", journal.fileno(), JOURNAL_STREAM=stream).wait(60) == 0
    assert (tmp_path / "journal").read_text() == "<3>a\n<3>b\n<4>c\n<6>d\n"


def test_a_stderr_that_was_redirected_away_from_the_journal_holds_plain_words(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert run('logs.say("a", "error")', "text", file.fileno(), JOURNAL_STREAM="8:12345").wait(60) == 0
    assert (tmp_path / "file").read_text() == "a\n"


def test_an_error_that_ends_the_command_is_a_json_line_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgecam", "run", "--bundle", tmp_path / "no.edgecam", "--log", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    (line,) = done.stderr.splitlines()
    record = json.loads(line)
    assert (done.returncode, record["level"]) == (1, "error")
    assert "does not exist" in record["message"]
    assert "edgecam build-engine" in record["message"], "a message of several lines is one record"


def test_a_stderr_that_cannot_be_written_does_not_end_a_loop() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("w") as nowhere:
        for log in ("text", "json"):
            assert run("logs.say('x' * 100_000); print('on')", log, nowhere.fileno()).wait(60) == 0


@given(words=WORDS, value=WORDS)
def test_any_words_are_one_json_line(words: str, value: str) -> None:
    line = logs.as_json_line(words, "info", {"camera": value})
    assert line.count("\n") == 1
    record = json.loads(line)
    assert (record["message"], record["camera"]) == (words, value)


@given(pieces=st.lists(st.text(st.sampled_from("ab\n"), min_size=1)))
def test_nothing_that_is_written_gets_lost_or_is_cut(pieces: list[str]) -> None:
    beneath = io.StringIO()
    stream = logs.Messages(beneath, lambda words, level, fields: f"[{words}]\n")
    assert [stream.write(piece) for piece in pieces] == list(map(len, pieces))
    stream.write("\n")
    whole = "".join(beneath.getvalue().replace("[", "").replace("]", "").split())
    assert whole == "".join("".join(pieces).split())


def test_use_can_be_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.use("json")
    logs.use("json")
    logs.say("once")
    assert len(stream.getvalue().splitlines()) == 1
    logs.use("text")
    assert sys.stderr is stream


# -- events, alarms and states with fields


class Heard:
    def __init__(self) -> None:
        self.records: list[tuple[str, logs.Level, dict[str, object]]] = []

    def __call__(self, words: str, level: logs.Level, fields: logs.Fields) -> None:
        json.loads(logs.as_json_line(words, level, fields))
        self.records.append((words, level, dict(fields)))


def event(phase: str, why: str = "") -> Event:
    best = Best(None, 7, 100.0, 0.93, None, None)  # type: ignore[arg-type]
    return Event("e1", "belt", "defective", phase, 100.0, 102.5, 40, 0.93, best, why, 2.5)  # type: ignore[arg-type]


def status(state: State, detail: str = "") -> CameraStatus:
    return CameraStatus("belt", state, 1.0, detail, 10, 8, 1, 0, 5.0)


def test_an_event_is_told_at_its_start_and_at_its_end() -> None:
    journal = Journal(heard := Heard())
    assert isinstance(journal, Listener)
    for one in (event("start"), event("update"), event("end", "gone")):
        journal.event(one)
    (first, _, started), (last, _, ended) = heard.records
    assert first == "belt: defective begins, 93 %"
    assert last == "belt: defective is over after 2.5 s (gone), 93 %"
    assert started["event"] == ended["event"] == "e1"
    assert (ended["phase"], ended["why"], ended["seconds"]) == ("end", "gone", 2.5)


def test_an_alarm_is_a_warning_until_it_is_over() -> None:
    journal = Journal(heard := Heard())
    alarm = Alarm("defective > 3/h", "belt", "defective", 5.0, 9, 3600.0, 3.0, 3.8e-3, firing=True)
    journal.alarm(alarm)
    journal.alarm(alarm._replace(firing=False))
    assert [level for _, level, _ in heard.records] == ["warning", "info"]
    assert heard.records[0][0] == (
        "belt: alarm 'defective > 3/h': 9 events in 3600 s, 3.0 expected, p 3.8e-03"
    )
    assert [fields["firing"] for _, _, fields in heard.records] == [True, False]


def test_a_state_is_told_when_it_changes_and_not_each_second() -> None:
    journal = Journal(heard := Heard())
    for one in (
        status("live"),
        status("live"),
        status("lost", "no such device"),
        status("lost"),
        status("live"),
    ):
        journal.status(one)
    assert [words for words, _, _ in heard.records] == [
        "belt is live",
        "belt is lost: no such device",
        "belt is live",
    ]
    assert [level for _, level, _ in heard.records] == ["info", "warning", "info"]
