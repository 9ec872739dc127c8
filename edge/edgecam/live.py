"""The loop: newest frame -> engine -> head -> decisions -> overlay -> sinks.

    read (a process, or a thread for files)  ->  infer (thread)  ->  decide, draw and sinks (main thread)

Each hand-over holds one frame. See `edgecam.isolation` for the first and `edgecam.loop` for the rest.
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TypeAlias

from edgecam import memory
from edgecam.logs import say
from edgecam.loop.answering import LOOK_S, start_answering
from edgecam.loop.batch import batch_that_pays
from edgecam.loop.cameras import Cameras
from edgecam.loop.lane import Lane
from edgecam.loop.lending import LentEngine
from edgecam.loop.outputs import make_deciders, open_sinks, seen_part
from edgecam.loop.presenter import Presenter
from edgecam.loop.rules import Holder, Rules
from edgecam.loop.summary import Summary
from edgecam.settings import RunSettings
from edgecam.sinks.listener import Listener
from edgecam.sinks.sink import Finished
from edgecam.sources.newest import Ended
from edgecam.status import CameraStatus
from edgecam.teaching.desk import Desk, Teaching
from edgecam.threads import one_opencv_thread
from edgecam.web.about import About, Describes, about
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.head import Head
from edgecam_engines.signals import stop_on_signal


class Loop:
    """A loop that runs, for whoever looks after it."""

    def __init__(
        self, bundle: Bundle, lanes: list[Lane], rules: Holder, changed: Callable[[], object]
    ) -> None:
        """`changed` is called when other rules are in force."""
        self.bundle = bundle
        self._lanes, self._rules, self._changed = lanes, rules, changed

    @property
    def rules(self) -> Rules:
        """Settings, class head and deciders in force."""
        return self._rules.now

    def statuses(self) -> list[CameraStatus]:
        """How each camera is."""
        return [lane.status() for lane in self._lanes]

    def reload(self, settings: RunSettings, head: Head) -> None:
        """Go on by other rules: class head, decisions, `fps` and `every`. From the main thread.

        No frame is dropped: those that the engine has seen are decided by the rules it used. What was open
        under the old rules ends. Raises what making a decider does; then nothing has changed.
        """
        names = [lane.name for lane in self._lanes]
        deciders = make_deciders(settings, head, names, self.rules.deciders)
        for lane in self._lanes:
            lane.gate.change(settings.every, settings.fps if lane.reader.live else None)
        self._rules.now = Rules(settings, head, deciders)
        self._changed()


# Given the loop before its first frame; what it returns is called between frames, 20 times a second or more.
Keeper: TypeAlias = Callable[[Loop], Callable[[], object]]


def run(
    settings: RunSettings,
    *,
    draw: bool | None = None,
    keeper: Keeper | None = None,
    opener: str | None = None,
    teaching: Teaching | None = None,
) -> Summary:
    """Recognise what cameras, streams, files or folders show until they end or somebody stops it.

    `draw` None means: when a sink shows it. `keeper` looks after the loop, as a service manager's part does.
    `opener`, a "module:function", opens every source in place of edgecam's own, in the process that reads it.
    `teaching` lets visitors of the page teach a class head; a `keeper` takes over what they taught.
    Raises BundleError, EngineError, SourceError, OutputError, and KeyboardInterrupt after SIGINT or
    SIGTERM: in every case the files are closed first, and complete.
    """
    bundle = open_bundle(settings.bundle)
    head = bundle.head(settings.head)
    with ExitStack() as cleanup:
        cleanup.enter_context(one_opencv_thread())
        memory.share()
        stop = cleanup.enter_context(stop_on_signal())
        cameras = Cameras(cleanup, settings, say, opener)
        # The engine before files are read: opening it takes more memory than it keeps.
        engine = bundle.engine(settings.backend, threads=settings.threads, check=not settings.skip_check)
        cleanup.callback(engine.close)
        batch = batch_that_pays(engine, len(settings.camera))
        memory.trim()
        lanes = cameras.lanes(lambda: not stop.asked)
        rules = Holder(Rules(settings, head, make_deciders(settings, head, [lane.name for lane in lanes])))

        def described() -> About:
            now = rules.now
            named = now.settings.head or bundle.manifest.head
            return about(settings.bundle, engine.name, named, now.head.classes)

        lent = LentEngine(engine.name, engine.input_hw, cameras.bell.ring) if teaching else None
        desk = None
        if teaching is not None and lent is not None:
            desk = Desk(*teaching, lent, view=seen_part(settings))
            cleanup.callback(desk.close)
        sinks = open_sinks(cleanup, settings, lanes, say, described, desk)
        drawn = any(sink.pictures for sink in sinks) if draw is None else draw
        listeners = [sink for sink in sinks if isinstance(sink, Listener)]

        def describe() -> None:
            for sink in sinks:
                if isinstance(sink, Describes):
                    sink.describe(described())

        between = keeper(Loop(bundle, lanes, rules, describe)) if keeper else _nothing
        presenter = Presenter(lanes, rules.now, sinks, listeners, drawn=drawn)
        cleanup.callback(presenter.finish)  # before the sinks are closed, after the engine's thread has ended
        seen = start_answering(cleanup, lanes, engine, rules, cameras.bell, batch, lent)

        def show_one() -> None:
            # A function of its own, so that no frame is kept alive while the next one is waited for.
            if (one := seen.take(LOOK_S)) is not None:
                presenter.present(one)

        with suppress(Ended, Finished):
            while not stop.asked and (settings.max_frames is None or presenter.frames < settings.max_frames):
                show_one()
                presenter.look_after()
                between()
    frames = presenter.frames
    recorded = settings.record if frames else None
    lost = sum(lane.reader.health().lost for lane in lanes)
    summary = Summary(frames, presenter.skipped, presenter.seconds, lost, recorded, settings.skip_check)
    say(summary.in_words())
    if stop.asked:
        raise KeyboardInterrupt
    return summary


def _nothing() -> None:
    pass
