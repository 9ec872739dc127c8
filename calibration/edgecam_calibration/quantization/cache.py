"""Observations kept between builds, found again by the contents of all that they depend on.

The name of a file is a hash of the graph, the photos, the seed, this code and the libraries that run it.
Whatever changes one of them changes the name, so nothing stale is ever found. The methods that choose ranges
are no part of it: they all read the same observations.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.quantization.histogram import ChannelHistograms
from edgecam_calibration.quantization.moments import Moments
from edgecam_calibration.quantization.observe import Observations
from edgecam_engines import geometry, photo
from edgecam_engines.console import log
from edgecam_engines.errors import OutputError
from edgecam_engines.files import sha256_of, write_atomically

KEPT: Final = 3  # files of some 150 MB; the oldest go
DIGEST: Final = 32  # bytes of SHA-256 before the content
_LIBRARIES: Final = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "opencv-python")


def observations_folder() -> Path:
    """Where observations are kept; safe to delete at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgecam" / "calibration"


def key(onnx_file: Path, photos: Iterable[Path], *, seed: int) -> str:
    """A hash of the graph (which fixes the input's size), the photos' contents, the seed and the code."""
    parts = [sha256_of(onnx_file), str(seed), *sorted(sha256_of(path) for path in photos), *_code()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def cached(path: Path, observe: Callable[[], Observations]) -> Observations:
    """What `path` holds, or what `observe` gives, which is then kept there.

    A file that is cut short or altered is not believed but made again. Two builds at once each write a whole
    file, and the last one stays. A full disk costs the cache only.
    """
    if (found := _read(path)) is not None:
        path.touch()
        log.print("These photos were observed before with this model; using what was kept.")
        return found
    seen = observe()
    try:
        content = _packed(seen)
        write_atomically(path, hashlib.sha256(content).digest() + content)
    except OutputError as error:
        log.print(f"What was observed is not kept for the next build: {error}", markup=False)
    else:
        _forget_oldest(path.parent)
    return seen


def _code() -> list[str]:
    here = Path(__file__).parent
    sources = [*sorted(here.glob("*.py")), Path(geometry.__file__), Path(photo.__file__)]
    return [*(sha256_of(source) for source in sources), *(f"{name} {_version(name)}" for name in _LIBRARIES)]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _packed(seen: Observations) -> bytes:
    from safetensors.numpy import save

    arrays: dict[str, NDArray[np.generic]] = {"frames": np.array(seen.frames), "sample": seen.sample}
    for name, each in seen.tensors.items():
        arrays |= {f"tensors/{field}/{name}": getattr(each, field) for field in each.FIELDS}
    for name, moments in seen.inputs.items():
        arrays[f"inputs/count/{name}"] = np.array(moments.count)
        arrays[f"inputs/total/{name}"] = moments.total
        arrays[f"inputs/square/{name}"] = moments.square
    return bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def _read(path: Path) -> Observations | None:
    from safetensors.numpy import load

    try:
        whole = path.read_bytes()
    except OSError:
        return None
    if len(whole) <= DIGEST or hashlib.sha256(whole[DIGEST:]).digest() != whole[:DIGEST]:
        return None
    arrays = load(whole[DIGEST:])
    tensors = {
        name: ChannelHistograms(*(arrays[f"tensors/{f}/{name}"] for f in ChannelHistograms.FIELDS))
        for name in _names(arrays, "tensors/low/")
    }
    inputs = {
        name: Moments(
            arrays[f"inputs/count/{name}"].item(),
            arrays[f"inputs/total/{name}"],
            arrays[f"inputs/square/{name}"],
        )
        for name in _names(arrays, "inputs/count/")
    }
    return Observations(arrays["frames"].item(), tensors, inputs, arrays["sample"])


def _names(arrays: Iterable[str], start: str) -> list[str]:
    return [name.removeprefix(start) for name in arrays if name.startswith(start)]


def _forget_oldest(folder: Path) -> None:
    def age(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:  # another build has just deleted it
            return 0.0

    for path in sorted(folder.glob("*.observed"), key=age, reverse=True)[KEPT:]:
        path.unlink(missing_ok=True)
