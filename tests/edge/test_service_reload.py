"""Settings read again: what is taken over, when, and what is kept if they are wrong."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge import reload_kit
from edge.loop_kit import CLASSES, colour_head
from edge.reload_kit import WAIT_S, built_anew, other_head, running
from edge.systemd_kit import Listening
from edgecam.logs import Level
from edgecam.service.hangup import hangup_signal
from edgecam.service.notify import Notify
from edgecam.service.reload import LIVE, Reloaded, Reloader, Running, in_words, read_again
from edgecam.service.systemd import Systemd
from edgecam.settings import RunSettings
from edgecam_engines.bundle import open_bundle
from edgecam_engines.errors import BundleError, SettingsError
from edgecam_engines.taught.versions import folder_of, save_version

bundle = reload_kit.bundle


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
