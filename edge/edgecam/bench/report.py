"""The document of a benchmark: what `edgecam bench --json` prints. Scripts rely on its keys."""

from typing import Any, Final

import numpy as np

from edgecam.bench.bound import bound
from edgecam.bench.names import CAMERA, MLPERF, MULTI_STREAM, OFFLINE, SINGLE_STREAM, SOAK
from edgecam.bench.omission import hidden
from edgecam.bench.order import Order
from edgecam.bench.percentiles import order_statistic
from edgecam.bench.record import Run
from edgecam.bench.session import Outcome
from edgecam.bench.stages import Times, left_out
from edgecam.bench.statistics import PERCENTILES, summarise

_WINDOWS: Final = 10  # of a soak


def report(engine: str, outcome: Outcome, order: Order, provenance: dict[str, Any]) -> dict[str, Any]:
    """Microseconds are the last digit told."""
    run, medians = outcome.run, _medians(outcome.times)
    # Of frames that were all there at the start, waiting says nothing.
    told = summarise(
        run.service if run.scenario == OFFLINE else run.latency, np.random.default_rng(order.seed)
    )
    return {
        "scenario": run.scenario,
        "engine": engine,
        "runs": len(run.latency),
        "latency_ms": _rounded(told.percentiles),
        "stages_ms": {stage: _ms(seconds) for stage, seconds in medians.items()},
        "throughput_per_s": round(run.throughput, 2),
        "provenance": provenance,
        "valid": not outcome.invalid,
        "invalid": outcome.invalid,
        "mlperf": MLPERF.get(run.scenario),
        "frames_per_query": run.per_query,
        "statistics": told.document(),
        "cpu_ms": _rounded({p: 1e3 * order_statistic(run.cpu, p) for p in PERCENTILES}),
        "stages": _stages(outcome.times),
        "stages_left_out": left_out(
            outcome.times, run.scenario, on_cpu=provenance.get("device", "cpu") == "cpu"
        ),
        "bound": bound({s: 1e3 * t for s, t in medians.items()}, recorded=order.record is not None),
        "accuracy": outcome.accuracy.document(),
        "warm_up": _warm_up(run),
        **_particulars(outcome, order),
        **({} if outcome.energy is None else {"energy": outcome.energy.document()}),
        "order": order.document(),
    }


def _particulars(outcome: Outcome, order: Order) -> dict[str, Any]:
    """What only some scenarios have."""
    run = outcome.run
    found: dict[str, Any] = {}
    if run.scenario == CAMERA:
        found["camera"] = {"fps": order.fps, "frames": order.runs, "dropped": run.dropped}
    if outcome.peak is not None:
        found["server"] = {
            "p99_bound_ms": _ms(order.bound_s),
            "rate_per_s": outcome.peak.rate and round(outcome.peak.rate, 2),
            "tries": [
                {
                    "rate_per_s": round(tried.rate, 2),
                    "p99_upper99_ms": tried.p99_bound and _ms(tried.p99_bound),
                    "held": tried.held,
                }
                for tried in outcome.peak.tries
            ],
        }
    if run.scenario == SOAK and len(run.service) >= _WINDOWS:
        parts = np.array_split(run.service, _WINDOWS)
        found["soak"] = {"p50_ms_by_tenth": [_ms(float(np.median(part))) for part in parts]}
    if run.scenario in {SINGLE_STREAM, MULTI_STREAM, SOAK}:
        told = hidden(run.service)
        found["open_loop_by_replay"] = {
            "interval_ms": _ms(told.interval),
            "p99_ms": _ms(told.open_p99),
            "stalls": told.stalls,
            "suspected": told.suspected,
        }
    return found


def _stages(times: Times) -> dict[str, dict[str, float]]:
    return {
        stage: _rounded({p: 1e3 * order_statistic(column, p) for p in PERCENTILES})
        for stage, column in times.columns()
    }


def _medians(times: Times) -> dict[str, float]:
    return {stage: order_statistic(column, 50) for stage, column in times.columns()}


def _warm_up(run: Run) -> dict[str, Any]:
    """Shown, never counted."""
    if not len(run.warm_up):
        return {"calls": 0, "first_ms": None, "p50_ms": None}
    return {
        "calls": len(run.warm_up),
        "first_ms": _ms(float(run.warm_up[0])),
        "p50_ms": _ms(order_statistic(run.warm_up, 50)),
    }


def _rounded(ms: dict[int, float]) -> dict[str, float]:
    return {f"p{percent}": round(value, 3) for percent, value in ms.items()}


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
