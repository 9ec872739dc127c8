"""The work that is measured: the camera loop's own code, with a mark at every border of its stages.

What runs is `recognise` and `overlay.draw` as in the loop; a clock stands before and after the engine.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np

from edgecam.bench.accuracy import Said
from edgecam.bench.scenarios import closed_loop
from edgecam.bench.timing import REAL, Clock, Floats
from edgecam.recognise import recognise
from edgecam.result import Result
from edgecam.sources.source import Shot
from edgecam_engines.engine import Engine, Features, Frame, Frames
from edgecam_engines.geometry import fit_batch, scale_box
from edgecam_engines.head import Head

FRAME_HW: Final = (720, 1280)  # pixels, what most cameras give
WARM_UP: Final = 20  # calls before the clock counts

Draw = Callable[[Frame, Result], object]


class Stages(NamedTuple):
    """One query's way, or many queries'. Seconds."""

    prepare: float  # fit the frames to the input
    infer: float  # the engine
    head: float  # logits, ranking, the best class's map and its box
    overlay: float  # heat, box and words drawn on the frame


class Measured(NamedTuple):
    """The runs after warm-up, in order."""

    engine: str
    seconds: Floats  # (runs, 4), a column for each of Stages

    @property
    def latency_ms(self) -> Floats:
        """(runs,): from a frame in memory to the frame drawn."""
        return np.asarray(self.seconds.sum(axis=1) * 1e3, dtype=np.float64)


class TimedEngine:
    """An engine that notes when its last call began and ended."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self.name, self.input_hw = engine.name, engine.input_hw
        self.began = self.ended = 0.0

    def infer(self, frames: Frames, /) -> Features:
        self.began = self._clock()
        features = self._engine.infer(frames)
        self.ended = self._clock()
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

    `began` and `stages` get a row for each query, warm-up among them; `said` every answer.
    """

    def __init__(
        self,
        engine: Engine,
        head: Head,
        frames: Sequence[Frame],
        draw: Draw,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._engine = TimedEngine(engine, clock)
        self._head, self._frames, self._draw, self._clock = head, frames, draw, clock
        self._next = 0  # of the frames, which are shown in turn
        first: dict[int, int] = {}  # by identity: a picture may be shown more often than others
        self._picture = [first.setdefault(id(frame), number) for number, frame in enumerate(frames)]
        self._held: list[tuple[int, Frame]] = []
        self.began: list[float] = []
        self.stages: list[Stages] = []
        self.said: list[Said] = []

    def ready(self, frames: int, /) -> None:
        numbers = [(self._next + i) % len(self._frames) for i in range(frames)]
        self._next = (self._next + frames) % len(self._frames)
        # Copies, since an overlay is drawn into the frame.
        self._held = [(number, self._frames[number].copy()) for number in numbers]

    def answer(self, frames: int, /) -> None:
        started = self._clock()
        results = [self._alone(self._held[0][1])] if frames == 1 else self._together()
        recognised = self._clock()
        for (_, frame), result in zip(self._held, results, strict=True):
            self._draw(frame, result)
        self.began.append(started)
        self.stages.append(
            Stages(
                prepare=self._engine.began - started,
                infer=self._engine.ended - self._engine.began,
                head=recognised - self._engine.ended,
                overlay=self._clock() - recognised,
            )
        )
        numbers = [self._picture[number] for number, _ in self._held]
        self.said += [_said(number, result) for number, result in zip(numbers, results, strict=True)]

    def in_peace(self) -> dict[int, Said]:
        """What is said about each picture without a clock, by its number. It leaves no rows."""
        return {number: self._asked(number, self._frames[number]) for number in sorted(set(self._picture))}

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
