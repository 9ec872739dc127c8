"""Settings and class head that change while the loop runs; and what stays when the new ones are wrong."""

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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.loop_kit import CLASSES, colour_head, make_bundle, make_video
from edge.systemd_kit import Listening
from edgecam.config.merge import settings_of
from edgecam.logs import Level
from edgecam.service.hangup import hangup_signal
from edgecam.service.notify import Notify
from edgecam.service.reload import LIVE, Reloaded, Reloader, Running, in_words, read_again
from edgecam.service.systemd import Systemd
from edgecam.settings import RunSettings
from edgecam_engines.bundle import open_bundle
from edgecam_engines.errors import BundleError, SettingsError
from edgecam_engines.head import Head
from edgecam_engines.taught.versions import folder_of, save_version

WAIT_S = 60.0


def other_head() -> Head:
    """Names the weakest colour: every answer is another one."""
    return Head(-np.eye(3, dtype=np.float32) * 60, np.zeros(3, np.float32), CLASSES)


def built_anew(bundle: Path, **other: Any) -> None:
    """Another bundle in the place of this one, swapped in as `build-engine` does."""
    made = make_bundle(bundle.with_name("made"), **other)
    bundle.rename(bundle.with_name("old"))
    made.rename(bundle)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "line.edgecam")


def running(bundle: Path, **options: Any) -> Running:
    settings = RunSettings(bundle, **options)
    opened = open_bundle(bundle)
    return Running(settings, opened, opened.head(settings.head))


# -- what a loop can take over


def test_every_setting_is_either_live_or_needs_a_restart_and_the_names_are_real() -> None:
    assert set(RunSettings.__dataclass_fields__) > LIVE
    assert {"bundle", "camera", "serve", "record", "backend"} & LIVE == set()


def test_live_settings_are_taken_over_and_the_others_are_named(bundle: Path) -> None:
    before = running(bundle)
    new = replace(
        before.settings, threshold=0.9, fps=5.0, ignore=(CLASSES[0],), serve="127.0.0.1:80", camera=("7",)
    )
    found = read_again(before, new)
    assert found.changed == ("fps", "threshold", "ignore")
    assert found.restart == ("camera", "serve")
    assert found.running.settings == replace(before.settings, threshold=0.9, fps=5.0, ignore=(CLASSES[0],)), (
        "what needs a restart is not claimed to hold"
    )
    assert in_words(found) == (
        "Settings read again: fps, threshold, ignore changed. Only a restart changes camera, serve."
    )


def test_nothing_new_is_said_to_be_nothing(bundle: Path) -> None:
    before = running(bundle)
    found = read_again(before, before.settings)
    assert (found.changed, found.restart, found.other_head, found.other_engine) == ((), (), False, False)
    assert in_words(found) == "Settings read again: nothing changed."


def test_a_new_head_in_the_bundle_is_taken_though_no_setting_changed(bundle: Path) -> None:
    before = running(bundle)
    built_anew(bundle, head=other_head())
    found = read_again(before, before.settings)
    assert (found.changed, found.other_head) == ((), True)
    assert (found.running.head.weight == other_head().weight).all()
    assert in_words(found) == "Settings read again: the class head changed."


def test_a_taught_head_is_taken_over_whether_it_is_new_or_another_version(bundle: Path) -> None:
    opened, folder = open_bundle(bundle), folder_of(bundle, "taught")
    save_version(folder, colour_head(), network=opened.network, about={})
    before = running(bundle)
    first = read_again(before, replace(before.settings, head="taught"))
    assert (first.changed, first.other_head) == (("head",), False), "by another name, the same numbers"
    assert not read_again(first.running, first.running.settings).other_head
    save_version(folder, other_head(), network=opened.network, about={})
    second = read_again(first.running, first.running.settings)
    assert (second.changed, second.other_head) == ((), True)
    assert (second.running.head.weight == other_head().weight).all()


def test_a_head_that_is_wished_for_is_read_and_nothing_else_of_the_settings(bundle: Path) -> None:
    opened = open_bundle(bundle)
    save_version(folder_of(bundle, "taught"), other_head(), network=opened.network, about={})
    wishes, applied = ["taught"], list[Reloaded]()
    reloader = Reloader(
        running(bundle),
        lambda: RunSettings(bundle, threshold=0.9),
        lambda: False,
        applied.append,
        say=lambda words, level: None,
        wished=lambda: wishes.pop() if wishes else None,
    )
    until = time.monotonic() + WAIT_S
    while not applied and time.monotonic() < until:
        reloader.poll()
        time.sleep(0.01)
    (found,) = applied
    assert found.changed == ("head",)
    assert reloader.running.settings == RunSettings(bundle, head="taught")


def test_a_bundle_with_another_engine_keeps_its_old_head_until_a_restart(bundle: Path) -> None:
    """A head of other features would name things at random."""
    before = running(bundle)
    built_anew(bundle, head=other_head(), stride=16)
    found = read_again(before, replace(before.settings, threshold=0.9))
    assert (found.changed, found.other_head, found.other_engine) == (("threshold",), False, True)
    assert found.running.head is before.head
    assert "line.edgecam has another engine now, which only a restart opens" in in_words(found)


def test_a_head_that_the_bundle_lacks_is_refused(bundle: Path) -> None:
    before = running(bundle)
    with pytest.raises(BundleError, match="has no head 'night'"):
        read_again(before, replace(before.settings, head="night"))


# -- the reloader


class Desk:
    """Everything around a reloader, kept."""

    def __init__(
        self, before: Running, read: Callable[[], RunSettings], systemd: Systemd | None = None
    ) -> None:
        self.asked = False
        self.applied: list[Reloaded] = []
        self.said: list[tuple[str, Level]] = []
        self.refuse = False
        self.reloader = Reloader(
            before,
            read,
            self._ask,
            self._apply,
            systemd,
            lambda words, level: self.said.append((words, level)),
        )

    def reload(self) -> None:
        """Ask, and poll until it is done."""
        self.asked = True
        count, until = len(self.said), time.monotonic() + WAIT_S
        while len(self.said) == count:
            assert time.monotonic() < until
            self.reloader.poll()
            time.sleep(0.001)

    def _ask(self) -> bool:
        asked, self.asked = self.asked, False
        return asked

    def _apply(self, found: Reloaded) -> None:
        if self.refuse:
            raise SettingsError("The loop cannot do that.")
        self.applied.append(found)


def test_new_settings_are_applied_once_and_hold_from_then_on(bundle: Path) -> None:
    before = running(bundle)
    desk = Desk(before, lambda: replace(before.settings, threshold=0.7))
    desk.reload()
    desk.reload()
    assert [found.changed for found in desk.applied] == [("threshold",)], "the second time nothing differs"
    assert desk.reloader.running.settings.threshold == 0.7
    assert desk.said[1] == ("Settings read again: nothing changed.", "info")


@pytest.mark.parametrize("error", [SettingsError("line 3 is wrong"), RuntimeError("a bolt is loose")])
def test_wrong_settings_keep_the_old_ones_and_say_why(bundle: Path, error: Exception) -> None:
    def read() -> RunSettings:
        raise error

    desk = Desk(running(bundle), read)
    before = desk.reloader.running
    desk.reload()
    assert desk.applied == []
    assert desk.reloader.running is before
    ((words, level),) = desk.said
    assert words.startswith("The settings stay as they were.\n")
    assert str(error) in words
    assert level == "error"


def test_settings_that_the_loop_refuses_do_not_hold(bundle: Path) -> None:
    before = running(bundle)
    desk = Desk(before, lambda: replace(before.settings, threshold=0.7))
    desk.refuse = True
    desk.reload()
    assert desk.reloader.running.settings.threshold == 0.5
    assert desk.said == [("The settings stay as they were.\nThe loop cannot do that.", "error")]


def test_polling_never_waits_for_the_reading_and_a_second_wish_is_served_after_it(bundle: Path) -> None:
    go, reads = threading.Event(), []
    before = running(bundle)

    def read() -> RunSettings:
        assert go.wait(WAIT_S)
        reads.append(threading.current_thread())
        return before.settings

    desk = Desk(before, read)
    desk.asked = True
    for _ in range(100):
        desk.reloader.poll()
    assert reads == []
    desk.asked = True
    go.set()
    until = time.monotonic() + WAIT_S
    while len(desk.said) < 2:
        assert time.monotonic() < until
        desk.reloader.poll()
    assert len(reads) == 2
    assert threading.main_thread() not in reads


def test_systemd_is_told_of_both_ends_of_a_reload_even_of_one_that_failed(
    bundle: Path, tmp_path: Path
) -> None:
    def read() -> RunSettings:
        raise SettingsError("line 3 is wrong")

    with Listening(tmp_path / "notify") as listening:
        systemd = Systemd(Notify(listening.environ()))
        Desk(running(bundle), read, systemd).reload()
        begun, ended = listening.heard()
        systemd.close()
    assert begun["RELOADING"] == "1"
    assert ended == {"READY": "1", "STATUS": "The settings stay as they were. line 3 is wrong"}


# -- the signal


def test_the_signal_is_taken_once_each_time_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with hangup_signal() as hangup:
        assert not hangup.taken()
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert [hangup.taken(), hangup.taken()] == [True, False]
    assert signal.getsignal(signal.SIGHUP) is before


def test_under_nohup_the_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with hangup_signal() as hangup:
            signal.raise_signal(signal.SIGHUP)
            assert not hangup.taken()
    finally:
        signal.signal(signal.SIGHUP, before)


# -- real processes


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
