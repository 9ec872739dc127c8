"""What runs here, for the page. Imports nothing of the server, so that it can be made without the extra."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

PACKAGES: Final = ("edgecam", "opencv-python", "onnxruntime", "onnxruntime-gpu", "tensorrt")


class About(NamedTuple):
    """What runs here; the same for every frame."""

    bundle: str
    engine: str  # "onnxruntime-int8"
    head: str
    classes: tuple[str, ...]
    versions: dict[str, str]


@runtime_checkable
class Describes(Protocol):
    """A sink that shows what runs, and wants to hear when that changes."""

    def describe(self, about: About, /) -> None: ...


def about(bundle: Path, engine: str, head: str, classes: tuple[str, ...]) -> About:
    """What runs here and now."""
    return About(bundle.stem, engine, head, classes, versions())


def versions() -> dict[str, str]:
    """Of Python, the machine and what is installed of `PACKAGES`."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # a Jetson's OpenCV and TensorRT may come without Python's notes about them
    return found
