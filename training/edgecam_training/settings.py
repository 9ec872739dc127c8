"""With what settings a finished network was trained, read from a run or from a bundle; needs no torch."""

from pathlib import Path

from edgecam_calibration.origin import FOLDER, OPTIONS
from edgecam_engines.bundle import MANIFEST
from edgecam_engines.errors import TrainingError
from edgecam_training.options import Options, load_options


def is_bundle(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def settings_of(path: Path) -> Options:
    """The settings that a run or the run behind a bundle was trained with. Raises TrainingError."""
    file = path / FOLDER / OPTIONS if is_bundle(path) else path / OPTIONS
    if file.is_file():
        return load_options(file)
    if is_bundle(path):
        raise TrainingError(
            f"{path} does not say what network it is of: an earlier edgecam built it.\n"
            f"Give the run it was built from, --init RUN, or build it again:\n"
            f"    edgecam build-engine RUN --out {path}"
        )
    raise TrainingError(
        f"{path} is neither a finished run nor a bundle, so nothing can begin with it.\n"
        f"Give --init a folder that `edgecam train` or `edgecam build-engine` made."
    )
