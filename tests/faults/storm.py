"""Random faults, one after another, against two cameras of one real loop."""

import random
import signal
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import psutil

from edge.loop_kit import make_bundle
from edgecam import live
from edgecam.isolation.patience import Patience
from edgecam.isolation.reader import ProcessReader
from edgecam.loop import cameras
from edgecam.settings import RunSettings
from edgecam.sinks.recording_folder import RecordingFolder
from edgecam.sources.reader import Clock
from faults.ledger import BRIGHTNESS, FIRES, SILENT, Calendar, Ledger
from faults.sources import OPENER
from faults.witness import beside, readers

# Shorter than the loop's own, so that a thousand faults take minutes; the source is stalled at 0.25 s.
PATIENCE: Final = Patience(stalled_s=0.25, hung_s=0.8, connect_s=3.0, start_s=10.0)
CAMERAS: Final = ("one", "two")
KINDS: Final = ("killed", "frozen", "paused", "unplugged", "clock set")
PAUSE_S: Final = 0.4
AWAY_S: Final = (0.05, 1.0)
LIMIT_S: Final = 20.0
TOGETHER: Final = 0.25  # so many faults come before the last one is over


class Storm:
    """Sends faults from a thread of its own, and notes how long each camera needs to be back."""

    def __init__(self, folder: Path, faults: int, seed: int) -> None:
        self.recovery_s: dict[str, list[float]] = defaultdict(list)
        self.sent = 0
        self.witness = Ledger(lambda _: self.over, keep=1000)
        self.recordings = folder / "recordings"
        self.unrecorded = 0  # frames that the recording says it lost
        self._calendar = Calendar()
        self.over = False
        self.failed: BaseException | None = None
        self._devices = {name: folder / name for name in CAMERAS}
        self._faults, self._rng = faults, random.Random(seed)
        for device in self._devices.values():
            device.touch()

    def run(self) -> None:
        """The whole storm. Raises what the witness found, or a camera that did not come back."""
        bundle = make_bundle(self.recordings.with_name("brightness.edgecam"), head=BRIGHTNESS)
        calendar = self._calendar

        class Impatient(ProcessReader):
            def __init__(self, *given: Any, **named: Any) -> None:
                super().__init__(*given, patience=PATIENCE, clock=Clock(utc=calendar), **named)

        uris = tuple(
            f"scripted://?fps=200&name={name}&while={device}&hw=24x32,48x64&shape_for=50"
            for name, device in self._devices.items()
        )
        thread = threading.Thread(target=self._send_all, name="storm")
        with beside(self.witness) as sinks, patch.object(cameras, "ProcessReader", Impatient):
            thread.start()
            try:
                live.run(self._settings(bundle, uris), opener=OPENER)
            finally:
                self.over = True
                thread.join()
        self.unrecorded = sum(sink.lost for sink in sinks if isinstance(sink, RecordingFolder))
        if self.failed is not None:
            raise self.failed

    def _settings(self, bundle: Path, uris: tuple[str, ...]) -> RunSettings:
        return RunSettings(
            bundle,
            uris,
            event_after=1,
            event_end_s=0.1,
            ignore=("dark",),
            alarm=(FIRES, SILENT),
            record=self.recordings,
            window=False,
        )

    def _send_all(self) -> None:
        try:
            self._await_all(time.monotonic())
            while self.sent < self._faults and not self.over:
                kind, camera = self._rng.choice(KINDS), self._rng.choice(CAMERAS)
                begun = self._send(kind, camera)
                self.sent += 1
                if begun is not None and self._rng.random() >= TOGETHER:
                    self.recovery_s[kind].append(self._await_all(begun))
            self._await_all(time.monotonic())
        except BaseException as error:
            self.failed = error
        self.over = True

    def _send(self, kind: str, camera: str) -> float | None:
        """One fault; from when on the camera could give frames again, None when there was none to hit."""
        time.sleep(self._rng.uniform(0.0, 0.1))
        if kind == "clock set":
            self._calendar.step(self._rng)
            return time.monotonic()
        if kind == "unplugged":
            self._devices[camera].unlink()
            time.sleep(self._rng.uniform(*AWAY_S))
            self._devices[camera].touch()
            return time.monotonic()
        found = readers()
        if not found:
            return None
        victim = self._rng.choice(found)
        with suppress(psutil.NoSuchProcess):
            if kind == "killed":
                victim.kill()
            else:
                victim.send_signal(signal.SIGSTOP)
            if kind == "paused":
                time.sleep(PAUSE_S)
                victim.send_signal(signal.SIGCONT)
        # A frozen reader is not back before it was given up.
        return time.monotonic() + (PATIENCE.hung_s if kind == "frozen" else 0.0)

    def _await_all(self, begun: float) -> float:
        """Seconds from `begun` until every camera gave a frame after it: any may have been hit."""
        time.sleep(max(0.0, begun - time.monotonic()))
        before = dict(self.witness.frames)
        while any(self.witness.frames[name] <= before.get(name, 0) for name in CAMERAS):
            if self.over or time.monotonic() - begun > LIMIT_S:
                raise AssertionError(f"Not every camera came back within {LIMIT_S:g} s: {before}")
            time.sleep(0.002)
        return time.monotonic() - begun
