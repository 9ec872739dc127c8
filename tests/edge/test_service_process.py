"""The service as a process: signals, reloads, a hung engine, each with real ones."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge import reload_kit
from edge.loop_kit import CLASSES, make_video
from edge.reload_kit import WAIT_S, built_anew, other_head
from edge.systemd_kit import Listening
from edgecam.config.merge import settings_of
from edgecam.service.reload import Running, read_again
from edgecam_engines.bundle import open_bundle

bundle = reload_kit.bundle


class Service:
    """`edgecam run --config` on a video in real time, with a systemd that listens and lines that are read."""

    def __init__(self, config: Path, listening: Listening, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgecam", "run", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **{k: v for k, v in os.environ.items() if k not in {"DISPLAY", "WAYLAND_DISPLAY"}},
                **listening.environ(watchdog_s=1.0),
                **environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
        )
        self.listening = listening
        self.lines: list[dict[str, Any]] = []
        self.words: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_words, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(map(json.loads, self.process.stdout))  # extend takes them one by one

    def _read_words(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.words.append(line)

    def wait_for(self, there: Callable[[], object], what: str) -> None:
        until = time.monotonic() + WAIT_S
        while not there():
            assert self.process.poll() is None, f"it ended before {what}: {self.words}"
            assert time.monotonic() < until, f"it never came to {what}: {self.words}"
            self.listening.listen()
            time.sleep(0.01)

    def reload(self, said: str) -> None:
        """Send SIGHUP and wait for these words."""
        count = len(self.words)
        self.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: any(said in line for line in self.words[count:]), said)

    def more(self, frames: int) -> list[dict[str, Any]]:
        """The next lines that come, after those that may be on their way."""
        count = len(self.lines) + 5
        self.wait_for(lambda: len(self.lines) >= count + frames, "more lines")
        return self.lines[count : count + frames]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_S)
        for reader in self._readers:
            reader.join(WAIT_S)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@contextmanager
def service(config: Path, listening: Listening) -> Iterator[Service]:
    started = Service(config, listening)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.stop()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute in small frames: longer than any of these tests."""
    return make_video(tmp_path_factory.mktemp("video") / "long.mp4", frames=1500, hw=(48, 64))


def config_of(folder: Path, video: Path, *lines: str) -> Path:
    path = folder / "edgecam.toml"
    first = ('bundle = "line.edgecam"', f'camera = "{video}"', "realtime = true", "json = true")
    path.write_text("\n".join([*first, *lines]) + "\n")
    return path


def test_a_reload_changes_answers_between_two_frames_and_loses_none(
    bundle: Path, video: Path, tmp_path: Path
) -> None:
    config = config_of(tmp_path, video)
    with Listening(tmp_path / "notify") as listening, service(config, listening) as edgecam:
        edgecam.wait_for(lambda: len(edgecam.lines) >= 5, "its first lines")
        assert {line["label"] for line in edgecam.lines[:5]} == {CLASSES[0]}

        config_of(tmp_path, video, "threshold = 1.0", "serve = '127.0.0.1:0'")
        edgecam.reload("threshold changed. Only a restart changes serve.")

        config_of(tmp_path, video, "threshold = 0.5", "treshold = 2")
        edgecam.reload("Did you mean 'threshold'?")

        config_of(tmp_path, video, "threshold = 0.25")
        built_anew(bundle, head=other_head())
        edgecam.reload("threshold and the class head changed.")
        assert CLASSES[0] not in {line["label"] for line in edgecam.more(5)}

        shutil.rmtree(bundle)
        edgecam.reload("The settings stay as they were.")
        edgecam.more(5)
        assert edgecam.stop() == 130
        heard = listening.heard()

    numbers = [line["frame"] for line in edgecam.lines]
    for answered, line in enumerate(edgecam.lines):
        assert line["skipped"] + answered == line["frame"], "every frame is accounted for"
    assert len(numbers) > 20
    assert not any("Traceback" in words for words in edgecam.words)
    assert sum("RELOADING" in said for said in heard) == 4
    assert sum("READY" in said for said in heard) == 5
    assert heard[-1] == {"STOPPING": "1"}
    assert any(said.get("WATCHDOG") == "1" for said in heard)


def test_a_storm_of_signals_is_a_few_reloads_and_costs_no_frame(
    bundle: Path, video: Path, tmp_path: Path
) -> None:
    with (
        Listening(tmp_path / "notify") as listening,
        service(config_of(tmp_path, video), listening) as edgecam,
    ):
        edgecam.wait_for(lambda: len(edgecam.lines) >= 5, "its first lines")
        for _ in range(200):
            edgecam.process.send_signal(signal.SIGHUP)
            time.sleep(0.001)
        edgecam.reload("Settings read again: nothing changed.")
        edgecam.more(5)
        assert edgecam.stop() == 130
    for answered, line in enumerate(edgecam.lines):
        assert line["skipped"] + answered == line["frame"]
    assert 1 <= sum("Settings read again" in words for words in edgecam.words) <= 201
    assert not any("Traceback" in words for words in edgecam.words)


def test_a_service_whose_engine_hangs_stops_feeding_the_watchdog(
    bundle: Path, video: Path, tmp_path: Path
) -> None:
    """The real program with an engine that never answers its 20th frame."""
    config = config_of(tmp_path, video)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import itertools, threading\n"
        "from edgecam_engines.fixed import FixedEngine\n"
        "infer, count = FixedEngine.infer, itertools.count()\n"
        "def hangs(self, frames, /):\n"
        "    if next(count) == 20: threading.Event().wait()\n"
        "    return infer(self, frames)\n"
        "FixedEngine.infer = hangs\n"
    )
    with Listening(tmp_path / "notify") as listening:
        before, sys.path[:] = list(sys.path), [str(tmp_path / "site"), *sys.path]
        try:
            edgecam = Service(config, listening)
        finally:
            sys.path[:] = before
        try:
            edgecam.wait_for(lambda: len(edgecam.lines) >= 20, "the frame that hangs")
            time.sleep(1.2)  # half a period is the longest that a sign of life may come later
            listening.heard()
            time.sleep(1.5)
            assert edgecam.process.poll() is None
            assert not any("WATCHDOG" in said for said in listening.heard())
        finally:
            edgecam.process.kill()
            edgecam.stop()


def test_a_terminal_that_is_closed_ends_the_run_and_leaves_a_complete_recording(
    bundle: Path, video: Path, tmp_path: Path
) -> None:
    config = config_of(tmp_path, video, 'record = "overlay.mp4"')
    ours, theirs = pty.openpty()
    with closing(os.fdopen(ours, "rb", buffering=0)) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgecam", "run", "--config", config],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        os.close(theirs)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["frame"] == 0
        terminal.close()  # what a closed window or a lost connection does
        process.send_signal(signal.SIGHUP)  # and what the kernel sends to those who belong to it
        process.stdout.read()
        process.stdout.close()
        assert process.wait(WAIT_S) == 130
    assert (tmp_path / "overlay.mp4").stat().st_size > 0
    assert not list(tmp_path.glob(".overlay*"))


def test_the_settings_of_the_command_line_still_go_before_the_file_after_a_reload(
    bundle: Path, tmp_path: Path
) -> None:
    config = tmp_path / "edgecam.toml"
    config.write_text('bundle = "line.edgecam"\nthreshold = 0.3\nfps = 3\n')
    given = {"threshold": 0.9}
    before = settings_of(given, config)
    config.write_text('bundle = "line.edgecam"\nthreshold = 0.4\nfps = 4\n')
    opened = open_bundle(bundle)
    found = read_again(Running(before, opened, opened.head()), settings_of(given, config))
    assert found.changed == ("fps",)
