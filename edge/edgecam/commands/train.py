"""`edgecam train`: photos in, a run folder out."""

import re
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from edgecam_engines.console import emit
from edgecam_engines.errors import TrainingError
from edgecam_training.options import TUNES, Options


def train(
    data: Path,
    out: Path,
    options: Options,
    *,
    val: Path | None,
    resume: bool,
    json: bool,
    explain_mix: bool = False,
) -> None:
    """Train, and with `json` print what came of it. Raises DataError, TrainingError, OutputError."""
    need_torch()
    from edgecam_training.distributed import is_leader
    from edgecam_training.train import train as run

    judged = run(data, out, options, val=val, resume=resume)
    if explain_mix and is_leader():
        from edgecam_training.mixing.explain import explain_run

        explain_run(out)
    if json and is_leader():
        scores = judged.report
        emit(
            {
                "run": str(out),
                "val": {
                    "n": scores.n,
                    "top1": scores.top1,
                    "top1_ci95": scores.top1_ci95,
                    "macro_f1": scores.macro_f1,
                },
            }
        )


# What settings are while a finished network is tuned, unless they are typed: for few photos, of classes that
# are to count alike, and without second branches, which double what a step costs.
TUNING: Final[dict[str, Any]] = {
    "pretrained": False,
    "pretrained_share": 0.0,
    "head_epochs": 0,
    "last_epochs": 0,
    "frozen_stages": 0,
    "mix": "none",
    "er": 0.0,
    "ecr": 0.0,
    "rvmin": 0.0,
    "seam_cls": 0.0,
    "seam_pcm": "none",
    "distil": 0.0,
    "cam_entropy": 0.0,
    "cam_concentration": 0.0,
    "small_share": 0.0,
    "balance": 1.0,
    "min_photos": 2,
    "expect": {},
    "qat": 0,
}
NETWORK: Final = ("backbone", "head", "dim", "experts", "experts_kept")


def continued(options: Options, init: str, tune: str = "", typed: frozenset[str] = frozenset()) -> Options:
    """With `init`, its settings, but for those that are not the default or whose names were `typed`.

    With `tune`, some are as a few photos want them; otherwise all epochs are those of `qat`.
    Raises TrainingError.
    """
    if not init:
        if tune:
            raise TrainingError(
                f"--tune {tune} goes on from a finished network. Say which, a run or a bundle:\n"
                f"    edgecam train DATA --init RUN_OR_BUNDLE --tune {tune}"
            )
        return options
    if not options.qat and not tune:
        raise TrainingError(
            f"--init {init} goes on from a finished network, but it is not said with what.\n"
            f"Add --tune head, bias or last-stage to learn new photos and classes.\n"
            f"Add --qat 1 to learn to be rounded to INT8."
        )
    if tune and tune not in TUNES:
        raise TrainingError(f"There is no --tune {tune}. Choose one of: {', '.join(TUNES)}.")
    from edgecam_training.settings import settings_of

    default, other = Options(), settings_of(Path(init))
    given = {
        field.name: getattr(options, field.name)
        for field in fields(Options)
        if field.name in typed or getattr(options, field.name) != getattr(default, field.name)
    }
    begun = {"init": str(Path(init).resolve()), "tune": tune}
    if not tune:
        return replace(other, **{**given, **begun, "epochs": options.qat})
    if wrong := [name for name in NETWORK if name in given and given[name] != getattr(other, name)]:
        raise TrainingError(
            f"{init} has {wrong[0]} {getattr(other, wrong[0])}, and going on from it cannot change that.\n"
            f"Leave --{wrong[0].replace('_', '-')} out, or train anew without --init."
        )
    return replace(other, **{**TUNING, **given, **begun, "epochs": options.epochs})


def need_torch() -> None:
    """Training alone needs torch; say so before anything else happens."""
    missing = [
        name for name in ("torch", "torchvision", "onnxscript", "matplotlib") if find_spec(name) is None
    ]
    if missing:
        raise TrainingError(
            f"Training needs {', '.join(missing)}, which the lean installation leaves out.\n"
            f"    pip install 'edgecam[train]'"
        )


def parse_shares(text: str) -> dict[str, float]:
    """ "defective=0.1,functional=0.9" as shares by class; "" as none."""
    shares = {}
    for part in filter(None, text.split(",")):
        name, _, share = part.rpartition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise TrainingError(
                f"--expect {text} is not a list of shares. Give one for each class, such as "
                f"--expect defective=0.1,functional=0.9"
            ) from None
    return shares


def parse_size(size: str) -> tuple[int, int]:
    """ "224" or "192x320" (height x width) as pixels."""
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", size)
    if match is None:
        raise TrainingError(f"--size {size} is not a size. Give 224, or HEIGHTxWIDTH such as 192x320.")
    height = int(match[1])
    return height, int(match[2] or height)
