"""Keeps a folder of photos and their files within a size, by deleting the oldest."""

import stat
from collections import defaultdict
from pathlib import Path
from typing import Final

from edgecam_engines.errors import OutputError

OURS: Final = frozenset({".jpg", ".json"})  # anything else is somebody's own, and neither counted nor deleted


def make_room(folder: Path, need: int, quota: int) -> None:
    """Delete the oldest photos, each with its .json, until `need` more bytes fit into `quota` bytes.

    Looks at the folder anew each time, since people take photos out of it. What a killed process left half
    written counts too, and gets old. Raises OutputError when `need` alone is too much, OSError as usual.
    """
    if need > quota:
        raise OutputError(
            f"{folder} may hold {quota / 1e6:g} MB, and one photo takes {need / 1e6:.1f} MB.\n"
            f"Give it more: --tray-quota-mb 200"
        )
    groups: dict[str, list[tuple[float, int, Path]]] = defaultdict(list)
    for path in folder.iterdir():
        if path.suffix in OURS and (about := _regular(path)) is not None:
            groups[path.stem].append((about[0], about[1], path))
    total = sum(size for group in groups.values() for _, size, _ in group)
    for group in sorted(groups.values(), key=min):
        if total + need <= quota:
            return
        for _, size, path in group:
            path.unlink(missing_ok=True)
            total -= size


def _regular(path: Path) -> tuple[float, int] | None:
    """When it was written and how large it is; None for what is no file, or is gone meanwhile."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return None
    return (about.st_mtime, about.st_size) if stat.S_ISREG(about.st_mode) else None
