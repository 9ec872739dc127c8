"""What runs here, for the page. Imports nothing of the server, so that it can be made without the extra."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final, NamedTuple

PACKAGES: Final = ("edgecam", "opencv-python", "onnxruntime", "onnxruntime-gpu", "tensorrt")


class About(NamedTuple):
    """What runs here; the same for every frame."""

    bundle: str
    engine: str  # "onnxruntime-int8"
    head: str
    classes: tuple[str, ...]
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """Of Python, the machine and what is installed of `PACKAGES`."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # a Jetson's OpenCV and TensorRT may come without Python's notes about them
    return found
