"""The engine's thread: the camera that waited longest first, several in one call where that pays."""

import threading
import time
from contextlib import ExitStack
from typing import Final, NamedTuple

from edgecam.loop.lane import Lane
from edgecam.loop.lending import LentEngine
from edgecam.loop.rules import Holder, Rules
from edgecam.recognise import Look, recognise_all
from edgecam.result import Result
from edgecam.sources.bell import Bell
from edgecam.sources.newest import Slot
from edgecam_engines.engine import Engine, Frame

LOOK_S: Final = 0.05  # how often a waiting thread looks whether it should stop
JOIN_S: Final = 10.0  # longest that the engine may take over its last frames


class Seen(NamedTuple):
    """What the engine's thread hands to the main one."""

    lane: Lane
    frame: Frame
    result: Result
    rules: Rules


def start_answering(
    cleanup: ExitStack,
    lanes: list[Lane],
    engine: Engine,
    rules: Holder,
    bell: Bell,
    batch: int,
    lent: LentEngine | None = None,
) -> Slot[Seen]:
    """Start the thread; what it finds, or what went wrong, comes out of the slot.

    `bell` rings when a reader has something. From here to the end of `cleanup` the engine is the thread's;
    whoever has it `lent` gets one frame between two of the cameras'.
    """
    results: Slot[Seen] = Slot(replace=False)
    going = threading.Event()
    going.set()

    def work() -> None:
        try:
            while going.is_set() and not all(lane.ended for lane in lanes):
                answered = _answer(lanes, engine, rules.now, batch, results)
                if lent is not None:
                    lent.serve(engine)
                if not answered:
                    bell.wait(_patience(lanes))
            results.close()
        except BaseException as error:
            results.close(error)

    thread = threading.Thread(target=work, name="edgecam-infer", daemon=True)

    def end() -> None:
        going.clear()
        bell.ring()
        results.abandon()
        thread.join(JOIN_S)
        if lent is not None:
            lent.end()

    thread.start()
    cleanup.callback(end)
    return results


def _answer(lanes: list[Lane], engine: Engine, rules: Rules, batch: int, results: Slot[Seen]) -> int:
    """Answer what is there; how many frames that were. Here and gone: no frame is kept while one waits."""
    looks = _looks(lanes, batch)
    if looks:
        answers = recognise_all([look for _, look in looks], engine, rules.head, rules.lowest)
        for (lane, look), answer in zip(looks, answers, strict=True):
            results.put(Seen(lane, look.shot.frame, answer, rules))
    return len(looks)


def _looks(lanes: list[Lane], batch: int) -> list[tuple[Lane, Look]]:
    found: list[tuple[Lane, Look]] = []
    for lane in sorted(lanes, key=lambda lane: lane.served):
        look = lane.next_look(time.monotonic())
        if look is not None:
            found.append((lane, look))
        if len(found) == batch:
            break
    return found


def _patience(lanes: list[Lane]) -> float:
    """Seconds until a frame that waits already may be taken, at most LOOK_S."""
    now = time.monotonic()
    return min([LOOK_S, *(wait for lane in lanes if (wait := lane.gate.wait(now)) > 0)])
