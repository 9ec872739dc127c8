"""Raw samples beside a result: a result without them cannot be judged anew, nor compared."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from edgecam.bench.record import Run
from edgecam.bench.stages import Times
from edgecam.bench.timing import Floats
from edgecam_engines.errors import DataError
from edgecam_engines.files import read_checked, read_limited, write_atomically, write_json

_LIMIT: Final = 1 << 30  # bytes


class Kept(NamedTuple):
    """A result as it was written, and its raw samples in seconds, by name."""

    document: dict[str, Any]
    columns: dict[str, Floats]


def columns_of(run: Run, times: Times) -> dict[str, Floats]:
    """Everything that a run measured, each (n,) but warm_up (w,) and the loop's and the engine's stages."""
    told = {"engine_stages": times.engine, "capture": times.capture}
    return {
        "scheduled": run.scheduled,
        "started": run.started,
        "finished": run.finished,
        "wall": run.service,
        "cpu": run.cpu,
        "warm_up": run.warm_up,
        "stages": times.loop,
        **{name: column for name, column in told.items() if column is not None},
    }


def save(path: Path, document: Mapping[str, Any], columns: Mapping[str, Floats]) -> None:
    """The document at `path`, the samples beside it as .npz, which the document names with its SHA-256."""
    held = io.BytesIO()
    arrays: dict[str, Any] = dict(columns)
    np.savez_compressed(held, **arrays)
    content, beside = held.getvalue(), path.with_suffix(".npz")
    write_atomically(beside, content)
    entry = {"file": beside.name, "sha256": hashlib.sha256(content).hexdigest(), "unit": "s"}
    write_json(path, {**document, "samples": entry})


def load(path: Path) -> Kept:
    """What `save` wrote, with columns `wall` and `cpu` of one shape at least. Raises DataError."""
    try:
        document = json.loads(read_limited(path, _LIMIT))
        entry = document["samples"]
        name = str(entry["file"])
        if name != Path(name).name:
            raise ValueError(f"its samples lie at {name!r}, not beside it")
        content = read_checked(path.with_name(name), _LIMIT, str(entry["sha256"]))
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            columns = {key: np.asarray(held[key], dtype=np.float64) for key in held.files}
        if columns["wall"].shape != columns["cpu"].shape or not columns["wall"].size:
            raise ValueError("its samples are not of one shape")
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise DataError(
            f"{path} is no result with samples ({why}).\nMake one with:\n"
            f"    edgecam bench NAME.edgecam --out {path.name}"
        ) from error
    return Kept(document, columns)
