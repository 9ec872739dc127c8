"""Benchmarks: scenarios, statistics, energy and provenance. `edgecam bench` is their command."""

from edgecam.bench.loop import FRAME_HW, Measured, measure, synthetic_frame
from edgecam.bench.percentiles import order_statistic, upper_bound
from edgecam.bench.stages import Stages

__all__ = [
    "FRAME_HW",
    "Measured",
    "Stages",
    "measure",
    "order_statistic",
    "synthetic_frame",
    "upper_bound",
]
