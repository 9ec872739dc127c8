"""The page's own files, read once at the start: no request ever reaches the disk."""

from importlib.resources import files
from typing import Final, NamedTuple

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageFile(NamedTuple):
    """One file as it is sent."""

    content: bytes
    media_type: str


def read_page() -> dict[str, PageFile]:
    """Every file of the page by its name."""
    found = {}
    for file in files("edgecam.web").joinpath("page").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in TYPES:
            found[file.name] = PageFile(file.read_bytes(), TYPES[suffix])
    return found
