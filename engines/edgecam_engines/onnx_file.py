"""Reading ONNX files that somebody else may have made: once, bounded, checked, with all weights inside.

An ONNX file can point elsewhere: weights as external data at any path, even at an address in memory
(ONNX Runtime's `*/_ORT_MEM_ADDR_/*`); compiled engines by EPContext nodes; and a loop that never ends is
run while the graph is optimized. Whoever opens a model reads it here, and nothing of that is left.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from edgecam_engines.errors import EngineError
from edgecam_engines.files import read_checked, read_limited

LIMIT: Final = (1 << 31) - 1  # bytes; what protobuf itself can hold
# No edgecam graph has them: an engine from another file, and what can run for ever.
REFUSED: Final = ("EPContext", "Loop", "Scan")
# Names stand in the file as they are, so a file without these words needs no second parser.
_WORDS: Final = (b"location", *(name.encode() for name in REFUSED))


def read_onnx(path: Path, digests: Mapping[Path, str] | None = None) -> bytes:
    """A model's bytes, its external data taken in from files in its own folder.

    With `digests`, SHA-256 by path, every file that is read must be among them and match: those of a
    bundle. Raises EngineError: absent, too large, changed, no ONNX, or leading out of its folder.
    """
    try:
        content = _read(path, digests)
        return _closed(content, path, digests) if any(word in content for word in _WORDS) else content
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{path.name} cannot be used: {error}.\n"
            f"Copy it again from where it was made, or build the bundle again with:\n"
            f"    edgecam build-engine RUN --out NAME.edgecam"
        ) from error


def look_into_onnx(path: Path) -> Any:
    """An onnx.ModelProto of the file as it stands, for who only looks: nothing that it points to is opened.

    So nothing that it points to is refused either. Raises EngineError: absent, too large, no ONNX.
    """
    try:
        content = read_limited(path, LIMIT)
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{path} cannot be read as ONNX ({error}).\n"
            f"Give the .onnx file that a training run or another tool exported."
        ) from error
    return parse_onnx(content, str(path))


def parse_onnx(content: bytes, name: str) -> Any:
    """The bytes as an onnx.ModelProto. Raises EngineError when they are none, or without a node."""
    import onnx

    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
        if not model.graph.node:
            raise ValueError("it has no nodes")
    except Exception as error:  # protobuf's DecodeError, whose module is not ours to import
        raise EngineError(
            f"{name} cannot be read as ONNX ({error}). Copy it again, or export it again."
        ) from error
    return model


def _read(path: Path, digests: Mapping[Path, str] | None) -> bytes:
    if digests is not None and path not in digests:
        raise ValueError(f"its bundle does not list {path.name}")
    return read_checked(path, LIMIT, digests[path] if digests is not None else None)


def _closed(content: bytes, path: Path, digests: Mapping[Path, str] | None) -> bytes:
    """The model with nothing that leads out of it."""
    import onnx

    model = parse_onnx(content, path.name)
    files: dict[str, bytes] = {}
    size = len(content)
    for part in _messages(model):
        if isinstance(part, onnx.NodeProto) and part.op_type in REFUSED:
            raise ValueError(f"its node {part.name!r} is a {part.op_type}, which edgecam does not run")
        if isinstance(part, onnx.TensorProto) and part.data_location == onnx.TensorProto.EXTERNAL:
            size += _take_in(part, path.parent, files, digests)
        if size > LIMIT:  # counted as taken in: many tensors may share a part of a file
            raise ValueError(f"with its external data it is larger than {LIMIT} bytes")
    closed: bytes = model.SerializeToString()
    return closed


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all in it. Its parser has bounded the depth (100)."""
    yield message
    for _, value in message.ListFields():
        for part in [value] if hasattr(value, "ListFields") else value if hasattr(value, "add") else []:
            yield from _messages(part)


def _take_in(tensor: Any, folder: Path, files: dict[str, bytes], digests: Mapping[Path, str] | None) -> int:
    """Put a tensor's external data into it; how many bytes that were."""
    about = {entry.key: entry.value for entry in tensor.external_data}
    location = about.get("location", "")
    if location not in files:
        _check_inside(location, folder, tensor.name)
        files[location] = _read(folder / location, digests)
    start = int(about.get("offset", "0"))
    size = int(about.get("length", str(len(files[location]) - start)))
    if start < 0 or size < 0 or start + size > len(files[location]):
        raise ValueError(f"the weights of {tensor.name!r} lie beyond the end of {location!r}")
    tensor.raw_data = files[location][start : start + size]
    tensor.ClearField("data_location")
    del tensor.external_data[:]
    return size


def _check_inside(location: str, folder: Path, name: str) -> None:
    pure = PurePosixPath(location)
    inside = location and not pure.is_absolute() and ".." not in pure.parts and "\\" not in location
    # Resolved, so that a link counts as well, be it the file or a folder on the way.
    if not inside or "\0" in location or (folder / location).resolve() != folder.resolve() / location:
        raise ValueError(f"the weights of {name!r} lie at {location!r}, which leads out of its folder")
