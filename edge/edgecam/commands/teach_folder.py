"""Photos of a folder with one folder a class, each read once; what cannot be used is named and left out."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from edgecam_engines.console import log, track
from edgecam_engines.engine import Frame
from edgecam_engines.errors import DataError
from edgecam_engines.photo import BadPhoto, is_photo, photo_from_bytes


def photos_in(data: Path) -> Iterator[tuple[Frame, str, str]]:
    """Frame, class and file name of DATA/CLASS/*. The same file in two classes is used in neither.

    Raises DataError when there is no photo in it at all.
    """
    files = _files(data)
    classes: dict[str, set[str]] = defaultdict(set)
    contents: dict[str, tuple[bytes, Path, str]] = {}
    for path, label in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            log.print(f"Left out {path}: {error.strerror}", markup=False)
            continue
        digest = hashlib.sha256(content).hexdigest()
        if digest in contents and label not in classes[digest]:
            log.print(f"Left out {path}: the same photo stands under {contents[digest][2]!r}", markup=False)
        classes[digest].add(label)
        contents.setdefault(digest, (content, path, label))
    unique = [contents[digest] for digest in contents if len(classes[digest]) == 1]
    for content, path, label in track(unique, "Looking at the photos"):
        try:
            yield photo_from_bytes(content, path), label, path.name
        except BadPhoto as bad:
            log.print(f"Left out {path}: {bad.reason}", markup=False)


def _files(data: Path) -> list[tuple[Path, str]]:
    try:
        folders = sorted(p for p in data.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"{data} cannot be read: {error.strerror}.\nGive a folder with one folder of photos a class."
        ) from error
    files = [(path, each.name) for each in folders for path in sorted(each.rglob("*")) if is_photo(path)]
    if not files:
        raise DataError(f"{data} holds no photos in class folders.\nLay them out as {data.name}/CLASS/*.jpg.")
    return files
