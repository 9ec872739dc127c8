"""A run that begins with the weights of another."""

import json
from pathlib import Path

import torch

from edgecam_calibration.run import open_run
from edgecam_engines.errors import TrainingError
from edgecam_training.base import open_base
from edgecam_training.data import Split
from edgecam_training.model import Model, read_tensors
from edgecam_training.options import Options
from edgecam_training.seam import drop_correlation
from edgecam_training.settings import is_bundle


def begun_with(options: Options, model: Model, split: Split) -> Model:
    """The model with a finished network's weights in it; as it was where `init` is empty.

    Raises TrainingError when there is no such network, or when it is another one.
    """
    if options.tune:
        return _to_tune(Path(options.init), model)
    return _to_round(Path(options.init), model, split) if options.init else model


@torch.no_grad()
def _to_tune(path: Path, model: Model) -> Model:
    """Backbone and feature head as they were; in the class head old classes come first, and new ones start
    at zero: as likely as an old class that nothing speaks for or against."""
    base = open_base(path)
    base.fill(model)
    model.classify.reset_parameters()
    weight, bias = torch.from_numpy(base.head.weight), torch.from_numpy(base.head.bias)
    old = len(base.head.classes)
    model.classify.weight[:old] = weight - weight.mean(dim=0)
    model.classify.bias[:old] = bias - bias.mean()
    return model


def _to_round(run: Path, model: Model, split: Split) -> Model:
    """All of it as it was. It must have learned from these photos: one of those must not judge now."""
    if is_bundle(run):
        raise TrainingError(
            f"{run} is a bundle; learning to be rounded needs the run it was built from, and its photos.\n"
            f"Give that with --init RUN. A bundle can learn new photos:\n"
            f"    edgecam train DATA --init {run} --tune bias"
        )
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
