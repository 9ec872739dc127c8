"""Whether a run may be believed: each reason why not, in words."""

from collections.abc import Iterator
from typing import Final

from edgecam.bench.names import MULTI_STREAM, OFFLINE, SINGLE_STREAM, SOAK
from edgecam.bench.omission import hidden
from edgecam.bench.percentiles import least_samples
from edgecam.bench.record import Run
from edgecam.bench.watch import Watched

CLOCK_DRIFT: Final = 0.05  # of the fastest that a clock was seen at
OTHER_CORES: Final = 0.2  # cores that others may keep busy
OTHER_GPU: Final = 0.05  # of the GPU, before the first query
SWAP_MB: Final = 4.0  # that swap may grow by


def reasons(
    run: Run, watched: Watched, *, asked_mode: str | None = None, gpu: float | None = None
) -> list[str]:
    """Why this run is invalid; empty when it is not. `gpu` is its load before the first query, in [0, 1]."""
    return [
        *_too_few(run),
        *_mode(watched, asked_mode),
        *_clocks(watched),
        *_throttled(watched),
        *_others(watched, gpu),
        *_swap(watched),
        *_omission(run),
    ]


def _too_few(run: Run) -> Iterator[str]:
    n, least = len(run.latency), least_samples(99)
    if run.scenario != OFFLINE and n < least:
        yield f"too few samples: {n} queries; to bound a p99 takes {least} or more (--runs 700)"


def _mode(watched: Watched, asked: str | None) -> Iterator[str]:
    before, after = watched.power_mode_before, watched.power_mode_after
    if asked is not None and before != asked:
        yield f"power mode is {before or 'unknown'}, not {asked} as asked: sudo nvpmodel -m ID sets it"
    if before != after:
        yield f"power mode changed from {before} to {after} during the run"


def _clocks(watched: Watched) -> Iterator[str]:
    seen: dict[str, list[float]] = {}
    for each in watched.looks:
        for clock in each.clocks:
            if clock.now is not None:
                seen.setdefault(clock.name, []).append(clock.now)
    for name, speeds in seen.items():
        if min(speeds) < (1 - CLOCK_DRIFT) * max(speeds):
            yield (
                f"clocks changed: {name} ran at {min(speeds):.0f} to {max(speeds):.0f} MHz; on a Jetson "
                f"`sudo jetson_clocks` holds them"
            )


def _throttled(watched: Watched) -> Iterator[str]:
    first = watched.looks[0].throttling
    if any(each.throttling > first for each in watched.looks):
        hottest = max((each.hottest for each in watched.looks if each.hottest is not None), default=None)
        heat = "" if hottest is None else f", at up to {hottest:.0f} C"
        yield f"throttled: the machine slowed itself down{heat}"


def _others(watched: Watched, gpu: float | None) -> Iterator[str]:
    first, last = watched.looks[0], watched.looks[-1]
    if first.busy_s is not None and last.busy_s is not None and last.at > first.at:
        cores = (last.busy_s - first.busy_s - (last.own_cpu - first.own_cpu)) / (last.at - first.at)
        if cores > OTHER_CORES:
            yield f"other load: other programs kept {cores:.1f} processor cores busy"
    if gpu is not None and gpu > OTHER_GPU:
        yield f"other load: the GPU was busy for {gpu * 100:.0f} % before the first query"


def _swap(watched: Watched) -> Iterator[str]:
    first, most = watched.looks[0].swap_mb, max((each.swap_mb or 0 for each in watched.looks), default=0)
    if first is not None and most - first > SWAP_MB:
        yield f"swap grew by {most - first:.0f} MB during the run: memory is short"


def _omission(run: Run) -> Iterator[str]:
    if run.scenario in {SINGLE_STREAM, MULTI_STREAM, SOAK} and len(run.service) >= least_samples(99):
        told = hidden(run.service)
        if told.suspected:
            yield told.in_words()
