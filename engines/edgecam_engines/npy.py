"""Reading .npy files that somebody else may have made: no pickle, and no more memory than the file has."""

import io
import math
from pathlib import Path
from typing import Any, Final

from numpy.lib import format as npy_format
from numpy.typing import NDArray

from edgecam_engines.files import read_limited

_LIMIT: Final = 1 << 30  # bytes


def read_npy(path: Path, limit: int = _LIMIT) -> NDArray[Any]:
    """The one array of a .npy file, numbers only.

    Raises ValueError for anything else: an archive, text, objects, a shape that the file cannot fill (numpy
    would ask for the memory first), more than `limit` bytes. OSError as usual.
    """
    content = io.BytesIO(read_limited(path, limit))
    if content.getvalue().startswith(b"PK"):
        raise ValueError("it is an archive of arrays (.npz), not one array")
    version = npy_format.read_magic(content)
    if version not in _READERS:
        raise ValueError(f"its format is {version}, not one of {', '.join(map(str, _READERS))}")
    try:
        shape, _, dtype = _READERS[version](content)
    except Exception as error:  # Python's own parser reads the header, and raises what it likes
        raise ValueError(f"its header is damaged ({type(error).__name__})") from error
    if dtype.kind not in "fiub":
        raise ValueError(f"it holds {dtype} {shape}, not numbers")
    held = len(content.getbuffer()) - content.tell()
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"it says {dtype} {shape}, and holds {held} bytes")
    content.seek(0)
    array: NDArray[Any] = npy_format.read_array(content, allow_pickle=False)
    return array


_READERS: Final = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
