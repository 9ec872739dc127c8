"""Raw samples beside a result: a result without them cannot be judged anew, nor compared."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from edgecam.bench.record import Run
from edgecam.bench.timing import Floats
from edgecam_engines.errors import DataError
from edgecam_engines.files import read_checked, read_limited, write_atomically, write_json

_COLUMNS: Final = ("scheduled", "started", "finished", "cpu", "warm_up")
_LIMIT: Final = 1 << 30  # bytes


class Kept(NamedTuple):
    """A result as it was written, and its raw samples."""

    document: dict[str, Any]
    run: Run
    stages: Floats  # (n, stages) seconds
    yardstick: Floats  # (n,) processor seconds of a fixed piece of work around each query; (0,) without


def save(path: Path, document: dict[str, Any], run: Run, stages: Floats, yardstick: Floats) -> None:
    """The document at `path`, the samples beside it as .npz, which the document names with its SHA-256."""
    held = io.BytesIO()
    columns = {name: getattr(run, name) for name in _COLUMNS}
    np.savez_compressed(held, **columns, stages=stages, yardstick=yardstick)  # type: ignore[arg-type]
    content, beside = held.getvalue(), path.with_suffix(".npz")
    write_atomically(beside, content)
    entry = {
        "file": beside.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "unit": "s",
        "per_query": run.per_query,
        "dropped": run.dropped,
    }
    write_json(path, {**document, "samples": entry})


def load(path: Path) -> Kept:
    """What `save` wrote. Raises DataError."""
    try:
        document = json.loads(read_limited(path, _LIMIT))
        entry = document["samples"]
        name = str(entry["file"])
        if name != Path(name).name:
            raise ValueError(f"its samples lie at {name!r}, not beside it")
        content = read_checked(path.with_name(name), _LIMIT, str(entry["sha256"]))
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            columns = {
                key: np.asarray(held[key], dtype=np.float64) for key in (*_COLUMNS, "stages", "yardstick")
            }
        stages, yardstick = columns.pop("stages"), columns.pop("yardstick")
        run = Run(
            str(document["scenario"]),
            **columns,
            per_query=int(entry["per_query"]),
            dropped=int(entry["dropped"]),
        )
        lengths = {len(column) for column in (run.scheduled, run.started, run.finished, run.cpu, stages)}
        if len(lengths) != 1 or not run.frames or len(yardstick) not in {0, len(run.cpu)}:
            raise ValueError("its samples are not of one length")
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is no result with samples ({error}).\nMake one with:\n"
            f"    edgecam bench NAME.edgecam --out {path.name}"
        ) from error
    return Kept(document, run, stages, yardstick)
