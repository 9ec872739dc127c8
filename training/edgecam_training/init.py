"""A run that begins with the weights of another."""

import json
from pathlib import Path

from edgecam_calibration.run import open_run
from edgecam_engines.errors import TrainingError
from edgecam_training.data import Split
from edgecam_training.model import Model, read_tensors
from edgecam_training.seam import drop_correlation


def begun_with(init: str, model: Model, split: Split) -> Model:
    """The model with a finished run's weights in it; as it was where `init` is empty.

    Raises TrainingError when it is no such run, when its network is another one, or when it is not one of
    these photos: one that it learned from must not judge now.
    """
    if not init:
        return model
    run = Path(init)
    other = open_run(run)
    if other.head.classes != split.classes:
        raise TrainingError(
            f"{run} knows the classes {', '.join(other.head.classes)}, but the photos show "
            f"{', '.join(split.classes)}.\nGive --init the run that these photos made."
        )
    learned = {entry["sha256"] for entry in json.loads((run / "split.json").read_text())["train"]}
    if seen := sum(item.digest in learned for item in split.val):
        raise TrainingError(
            f"{run} learned from {seen} of the {len(split.val)} photos that would judge now.\n"
            f"Give the same photos and settings as it had, or judge by others with --val."
        )
    try:
        drop_correlation(model).load_state_dict(read_tensors(run / "weights.safetensors"))
    except RuntimeError as error:
        raise TrainingError(
            f"The weights of {run} do not fit this network.\nLeave --backbone, --head and --dim out: "
            f"a run that begins with another has its settings."
        ) from error
    return model
