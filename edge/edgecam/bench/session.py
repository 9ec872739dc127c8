"""One benchmark from warm-up to verdict, with the machine watched all the while."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from edgecam.bench import names, scenarios
from edgecam.bench.accuracy import Accuracy, check
from edgecam.bench.energy import IDLE_S, Energy, energy_of, sampling
from edgecam.bench.live import Take, live
from edgecam.bench.loop import Loop
from edgecam.bench.order import Order
from edgecam.bench.peak import Peak, find_peak
from edgecam.bench.record import Run
from edgecam.bench.schedule import poisson
from edgecam.bench.stages import Times
from edgecam.bench.timing import Floats, Time
from edgecam.bench.validity import reasons
from edgecam.bench.watch import Watched, watching
from edgecam.board import Command, run_command
from edgecam.telemetry.load import gpu_load
from edgecam.telemetry.meter import Meter

_SETTLE_S: Final = 0.3  # samples from before and after a window, so that its ends lie between two


class Outcome(NamedTuple):
    """What a benchmark found."""

    run: Run
    times: Times  # of each query of the run
    began: Floats  # (n,) seconds on the benchmark's clock
    peak: Peak | None  # of the server scenario, where a rate was searched
    watched: Watched
    invalid: list[str]  # reasons
    accuracy: Accuracy
    energy: Energy | None = None  # where it was asked for


def conduct(
    order: Order,
    loop: Loop,
    time: Time,
    meter: Meter | None = None,
    *,
    take: Take | None = None,
    root: Path = Path("/"),
    run: Command = run_command,
) -> Outcome:
    """Do what was ordered; with a meter, measure its energy too. Raises MeasurementError when that fails.

    `take` gives a camera's frames to the scenario camera.
    """
    if meter is None:
        return _conduct(order, loop, time, take, root, run)
    with sampling(meter, time) as sampler:
        time.sleep(_SETTLE_S)
        idle = time.now()
        time.sleep(IDLE_S + _SETTLE_S)
        outcome = _conduct(order, loop, time, take, root, run)
        time.sleep(_SETTLE_S)
    window = (float(outcome.began[0]), float(outcome.began[-1] + outcome.times.loop[-1].sum()))
    energy = energy_of(meter, sampler.trace(), (idle, idle + IDLE_S), window, outcome.run.frames)
    return outcome._replace(energy=energy)


def _conduct(order: Order, loop: Loop, time: Time, take: Take | None, root: Path, run: Command) -> Outcome:
    gpu = gpu_load(root)
    reference = loop.in_peace()
    with watching(time, root, run) as end:
        done = _Done(order, loop, time, take)
        watched = end()
    n = len(done.run.finished)
    invalid = reasons(done.run, watched, asked_mode=order.power_mode, gpu=gpu)
    if done.peak is not None and done.peak.rate is None:
        invalid.append(
            f"no rate held a p99 of {order.bound_s * 1e3:.1f} ms: the figures are of the last one tried"
        )
    if take is not None:
        reference = loop.in_peace()  # what a camera showed is only known now
    accuracy = check(reference, loop.said)
    if (wrong := accuracy.reason()) is not None:
        invalid.append(wrong)
    rows = slice(done.first, done.first + n)
    times = Times(
        np.array(loop.stages[rows]),
        np.array(loop.within[rows]) if loop.within else None,
        done.run.started - done.run.scheduled if take is not None else None,
    )
    return Outcome(done.run, times, np.array(loop.began[rows]), done.peak, watched, invalid, accuracy)


class _Done:
    """A scenario, done: its run, and which of the loop's rows are of it."""

    def __init__(self, order: Order, loop: Loop, time: Time, take: Take | None) -> None:
        self.peak: Peak | None = None
        self.first = order.warm_up
        if order.scenario == names.SERVER:
            self.run = self._server(order, loop, time)
        elif take is not None:
            self.run = live(loop, time, take, frames=order.runs, warm_up=order.warm_up)
        elif order.scenario == names.CAMERA:
            self.run = scenarios.camera(loop, time, fps=order.fps, frames=order.runs, warm_up=order.warm_up)
        else:
            self.run = _closed(order, loop, time)

    def _server(self, order: Order, loop: Loop, time: Time) -> Run:
        rng = np.random.default_rng(order.seed)
        if order.rate is not None:
            arrivals = poisson(order.rate, order.runs, rng)
            return scenarios.open_loop(loop, time, arrivals, warm_up=order.warm_up)
        firsts: dict[float, int] = {}

        def at(rate: float) -> Run:
            firsts[rate] = len(loop.stages)
            return scenarios.open_loop(loop, time, poisson(rate, order.runs, rng))

        warmed = scenarios.warm(loop, time, order.warm_up)
        typical = float(np.median(warmed)) if len(warmed) else order.bound_s
        self.peak = find_peak(at, first=0.5 / max(typical, 1e-6), bound=order.bound_s)
        chosen = self.peak.rate or self.peak.tries[-1].rate
        self.first = firsts[chosen]
        return self.peak.run._replace(warm_up=warmed)


def _closed(order: Order, work: scenarios.Work, time: Time) -> Run:
    if order.scenario == names.OFFLINE:
        return scenarios.offline(
            work, time, batches=-(-order.runs // order.batch), batch=order.batch, warm_up=order.warm_up
        )
    if order.scenario == names.SOAK:
        return scenarios.soak(work, time, seconds=60 * order.minutes, warm_up=order.warm_up)
    several = order.scenario == names.MULTI_STREAM
    return scenarios.closed_loop(
        work,
        time,
        queries=order.runs,
        per_query=order.batch if several else 1,
        warm_up=order.warm_up,
        scenario=order.scenario,
    )
