"""The work that is measured: the camera loop's own code, with a mark at every border of its stages.

What runs is `recognise`, `overlay.draw` and the sinks as in the loop; a clock stands between them, and before
and after the engine. An engine that can tell its own stages is asked to.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np

from edgecam.bench.accuracy import Said
from edgecam.bench.scenarios import closed_loop
from edgecam.bench.stages import Stages
from edgecam.bench.timing import REAL, Clock, Floats
from edgecam.recognise import recognise
from edgecam.result import Result
from edgecam.sources.source import Shot
from edgecam_engines.engine import Engine, EngineStages, Features, Frame, Frames, Staged
from edgecam_engines.geometry import fit_batch, scale_box
from edgecam_engines.head import Head

FRAME_HW: Final = (720, 1280)  # pixels, what most cameras give
WARM_UP: Final = 20  # calls before the clock counts

KEPT: Final = 16  # frames of a camera whose answers are checked
KEPT_EVERY: Final = 10  # frames of it

Draw = Callable[[Frame, Result], object]
Publish = Callable[[Frame, Result], object]


def nobody(frame: Frame, result: Result) -> None:
    """Takes no results."""


class Measured(NamedTuple):
    """The runs after warm-up, in order."""

    engine: str
    seconds: Floats  # (runs, 5), a column for each of Stages

    @property
    def latency_ms(self) -> Floats:
        """(runs,): from a frame in memory to the frame drawn."""
        return np.asarray(self.seconds.sum(axis=1) * 1e3, dtype=np.float64)


class TimedEngine:
    """An engine that notes when its last call began and ended, and where it spent its time if it can tell."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self.name, self.input_hw = engine.name, engine.input_hw
        self.began = self.ended = 0.0
        self.stages: EngineStages | None = None
        if isinstance(engine, Staged):
            engine.watch(clock)

    def infer(self, frames: Frames, /) -> Features:
        self.began = self._clock()
        features = self._engine.infer(frames)
        self.ended = self._clock()
        if isinstance(self._engine, Staged):
            self.stages = self._engine.last_stages
        return features

    def close(self) -> None:
        self._engine.close()


class Given:
    """An engine that has its answer already: one frame's part of a batch."""

    def __init__(self, name: str, input_hw: tuple[int, int], features: Features) -> None:
        self.name, self.input_hw, self._features = name, input_hw, features

    def infer(self, frames: Frames, /) -> Features:
        return self._features

    def close(self) -> None:
        """Nothing is held."""


class Loop:
    """Answers frames one by one as the camera loop does, or several in one batch. Work of a scenario.

    `began`, `stages` and, where the engine tells, `within` get a row for each query, warm-up among them;
    `said` every answer that can be checked.
    """

    def __init__(
        self,
        engine: Engine,
        head: Head,
        frames: Sequence[Frame],
        draw: Draw,
        clock: Clock = time.perf_counter,
        publish: Publish = nobody,
    ) -> None:
        self._engine = TimedEngine(engine, clock)
        self._head, self._frames, self._draw, self._clock = head, list(frames), draw, clock
        self._publish = publish
        self._next = 0  # of the frames, which are shown in turn
        first: dict[int, int] = {}  # by identity: a picture may be shown more often than others
        self._picture = [first.setdefault(id(frame), number) for number, frame in enumerate(frames)]
        self._turns = len(self._picture)  # frames behind these came from a camera
        self._seen = 0  # of a camera
        self.seen_hw: tuple[int, int] | None = None  # pixels of its last one
        self._held: list[tuple[int | None, Frame]] = []  # None for one whose answer is not checked
        self.began: list[float] = []
        self.stages: list[Stages] = []
        self.within: list[EngineStages] = []
        self.said: list[Said] = []

    def ready(self, frames: int, /) -> None:
        numbers = [(self._next + i) % self._turns for i in range(frames)]
        self._next = (self._next + frames) % self._turns
        # Copies, since an overlay is drawn into the frame.
        self._held = [(self._picture[number], self._frames[number].copy()) for number in numbers]

    def show(self, frame: Frame, /) -> None:
        """Have this frame of a camera at hand; some are kept, so that their answers can be checked."""
        number = None
        if self._seen % KEPT_EVERY == 0 and len(self._frames) - self._turns < KEPT:
            number = len(self._frames)
            self._frames.append(frame.copy())
        self._seen, self.seen_hw = self._seen + 1, (frame.shape[0], frame.shape[1])
        self._held = [(number, frame)]

    def answer(self, frames: int, /) -> None:
        started = self._clock()
        results = [self._alone(self._held[0][1])] if frames == 1 else self._together()
        recognised = self._clock()
        for (_, frame), result in zip(self._held, results, strict=True):
            self._draw(frame, result)
        drawn = self._clock()
        for (_, frame), result in zip(self._held, results, strict=True):
            self._publish(frame, result)
        self.began.append(started)
        self.stages.append(
            Stages(
                prepare=self._engine.began - started,
                infer=self._engine.ended - self._engine.began,
                head=recognised - self._engine.ended,
                overlay=drawn - recognised,
                publish=self._clock() - drawn,
            )
        )
        if self._engine.stages is not None:
            self.within.append(self._engine.stages)
        self.said += [
            _said(number, result)
            for (number, _), result in zip(self._held, results, strict=True)
            if number is not None
        ]

    def in_peace(self) -> dict[int, Said]:
        """What is said about each picture without a clock, by its number. It leaves no rows."""
        numbers = sorted({*self._picture, *range(self._turns, len(self._frames))})
        return {number: self._asked(number, self._frames[number]) for number in numbers}

    def _asked(self, number: int, frame: Frame) -> Said:
        return _said(number, self._alone(frame.copy()))

    def _alone(self, frame: Frame) -> Result:
        # Without a threshold the map is always made and drawn: the dearest case.
        return recognise(_shot(frame), self._engine, self._head, threshold=0.0, now=lambda: 0.0)

    def _together(self) -> list[Result]:
        frames = [frame for _, frame in self._held]
        hw = self._engine.input_hw
        fitted = fit_batch(frames, hw)
        features = self._engine.infer(fitted)
        results = []
        for frame, small, one in zip(frames, fitted, features, strict=True):
            engine = Given(self._engine.name, hw, one[None])
            result = recognise(_shot(small), engine, self._head, threshold=0.0, now=lambda: 0.0)
            height, width = frame.shape[:2]
            box = None if result.box is None else scale_box(result.box, hw, (height, width))
            results.append(result._replace(box=box))
        return results


def _said(number: int, result: Result) -> Said:
    return Said(number, result.top[0].label, result.top[0].confidence)


def _shot(frame: Frame) -> Shot:
    return Shot(frame, number=0, captured=0.0, captured_at=0.0)


def measure(
    engine: Engine,
    head: Head,
    frame: Frame,
    draw: Draw,
    *,
    runs: int,
    warm_up: int = WARM_UP,
    clock: Clock = time.perf_counter,
) -> Measured:
    """Time `runs` frames after `warm_up` untimed ones, one after another. The frame itself stays as it is."""
    loop = Loop(engine, head, [frame], draw, clock)
    closed_loop(loop, REAL._replace(now=clock), queries=runs, warm_up=warm_up)
    return Measured(engine.name, np.array(loop.stages[warm_up:], dtype=np.float64))


def synthetic_frame(hw: tuple[int, int] = FRAME_HW) -> Frame:
    """A picture with edges, areas and texture (H, W, 3), the same on every machine."""
    h, w = hw
    rows, columns = np.mgrid[0:h, 0:w]
    frame = np.stack([255 * columns / w, 255 * rows / h, 128 + 60 * np.sin((rows + columns) / 9)], axis=-1)
    picture = np.ascontiguousarray(frame.astype(np.uint8))
    cv2.circle(picture, (w // 3, h // 2), h // 5, (30, 60, 220), cv2.FILLED)
    cv2.rectangle(picture, (3 * w // 5, h // 4), (4 * w // 5, 3 * h // 4), (200, 180, 40), cv2.FILLED)
    return picture
