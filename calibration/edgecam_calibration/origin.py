"""What a bundle keeps of the run it was built from, so that training can go on from the bundle alone.

    training/options.json   the run's settings, which say what network its graph is of
    training/learned.json   which photos it learned from: they must never judge it

The weights stand in the FP32 graph already. The photos themselves stay where they are.
"""

import json
import shutil
from pathlib import Path
from typing import Any, Final

from edgecam_engines.errors import TrainingError
from edgecam_engines.files import read_limited, write_json

FOLDER: Final = "training"  # of a bundle
OPTIONS: Final = "options.json"
DIGITS: Final = 16  # of a photo's SHA-256 in hex: enough to know it again
_LEARNED: Final = "learned.json"
_LIMIT: Final = 512 << 20  # bytes


def keep_origin(run: Path, bundle: Path) -> None:
    """Copy it from a run folder; from one that has no settings, nothing."""
    if not (run / OPTIONS).is_file():
        return
    (bundle / FOLDER).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / OPTIONS, bundle / FOLDER / OPTIONS)
    write_json(bundle / FOLDER / _LEARNED, sorted(digests_in(run / "split.json")))


def digests_in(split: Path) -> frozenset[str]:
    """The photos that a run learned from, by the first DIGITS of their SHA-256. Raises TrainingError."""
    entries = _json(split)["train"]
    return frozenset(entry["sha256"][:DIGITS] for entry in entries if "sha256" in entry)


def learned_by(bundle: Path) -> frozenset[str]:
    """The same, of the run that a bundle was built from. Raises TrainingError."""
    return frozenset(map(str, _json(bundle / FOLDER / _LEARNED)))


def _json(path: Path) -> Any:
    try:
        return json.loads(read_limited(path, _LIMIT).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{path} cannot be read: {error}. Copy it again, or train again.") from error
