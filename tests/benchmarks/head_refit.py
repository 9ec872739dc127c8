"""Whether a class head fitted to INT8's own features shows more of FP32's maps than FP32's head does.

    python tests/benchmarks/head_refit.py --run RUN [--calibrators 128] [--limit 300]

The class head is data, so each precision could have its own, and mean(map) + bias == logit would still hold.
Over the cells of the calibration photos, ridge regression finds what of the rounding error INT8's features
tell of; it is folded into the row that all classes share (no answer changes), into every row, or channel by
channel. Judged on the run's validation photos, which do not calibrate.
"""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from int8 import HEADER, Bench, judged_photos
from numpy.typing import NDArray
from table import show

from edgecam_calibration.choose import choose, without_judges
from edgecam_calibration.gate import ANYTHING_GOES, judge
from edgecam_calibration.models import batches_of, input_hw_of
from edgecam_calibration.quantize import TENSORRT, cpu_profile
from edgecam_calibration.run import open_run
from edgecam_engines.engine import Engine
from edgecam_engines.head import Head
from edgecam_engines.onnxruntime import OnnxRuntimeEngine

RIDGE: Final = 0.03  # of the features' mean variance; from 0.0001 to 1 it hardly mattered

Floats = NDArray[np.float64]
Refit = Callable[[Head, Floats, Floats], Head]  # INT8's cells and FP32's, (cells, d) each


def as_it_is(head: Head, given: Floats, wanted: Floats) -> Head:
    return head


def shared_row(head: Head, given: Floats, wanted: Floats) -> Head:
    shared = head.weight.astype(np.float64).mean(axis=0)
    more = shared @ correction(given, wanted).T
    bias = shared @ wanted.mean(axis=0) - (shared + more) @ given.mean(axis=0)
    return _with(head, head.weight + more, head.bias + bias)


def every_row(head: Head, given: Floats, wanted: Floats) -> Head:
    return _all_rows(head, given, wanted, correction(given, wanted))


def each_channel(head: Head, given: Floats, wanted: Floats) -> Head:
    own = given.var(axis=0)
    slopes = ((given - given.mean(axis=0)) * (wanted - given)).mean(axis=0) / np.maximum(own, 1e-12)
    return _all_rows(head, given, wanted, np.diag(slopes))


REFITS: Final[dict[str, Refit]] = {
    "FP32's head": as_it_is,
    "the shared row refitted": shared_row,
    "every row refitted": every_row,
    "a factor for each channel": each_channel,
}


def correction(given: Floats, wanted: Floats) -> Floats:
    """(d, d): what INT8's cells must be multiplied by (from the right) to give the error they tell of."""
    centred = given - given.mean(axis=0)
    covariance = centred.T @ centred / len(given)
    ridge = RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    return np.asarray(np.linalg.solve(covariance + ridge, centred.T @ (wanted - given) / len(given)))


def _all_rows(head: Head, given: Floats, wanted: Floats, error: Floats) -> Head:
    rows = head.weight.astype(np.float64)
    weight = rows + rows @ error.T
    return _with(head, weight, head.bias + rows @ wanted.mean(axis=0) - weight @ given.mean(axis=0))


def _with(head: Head, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> Head:
    return replace(head, weight=weight.astype(np.float32), bias=bias.astype(np.float32))


def cells_of(engine: Engine, frames: list[NDArray[np.uint8]]) -> Floats:
    """All places of all photos, (cells, d)."""
    features = np.concatenate([engine.infer(batch) for batch in frames])
    return features.transpose(0, 2, 3, 1).reshape(-1, features.shape[1]).astype(np.float64)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--calibrators", type=int, default=128)
    parser.add_argument("--limit", type=int, default=300)
    options = parser.parse_args()
    run = open_run(options.run)
    photos = judged_photos(run, None, options.limit)
    given = without_judges(run.train, [photo.path for photo in run.val])
    calibrators = choose(given, options.calibrators, rng=np.random.default_rng(0))
    bench = Bench(run, photos, calibrators)
    frames = [*batches_of(calibrators, input_hw_of(run.model))]
    with closing(OnnxRuntimeEngine(run.model, name="fp32")) as fp32:
        wanted = cells_of(fp32, frames)
    rows, documents = [], []
    for profile in (TENSORRT, cpu_profile()):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            bench.calibration.write(profile, path)
            with closing(OnnxRuntimeEngine(path, name=profile.name, fuse=not profile.signed)) as engine:
                cells = cells_of(engine, frames)
                for name, refit in REFITS.items():
                    head = refit(run.head, cells, wanted)
                    names = {"precision": "int8", "backend": profile.name}
                    verdict = judge(engine, head, bench.reference, ANYTHING_GOES, **names)
                    row, document = bench.row(name, profile, verdict)
                    rows.append(row)
                    documents.append(document)
    show(
        f"INT8 with heads of its own, fitted to {len(calibrators)} photos", HEADER, rows, {"heads": documents}
    )


if __name__ == "__main__":
    main()
