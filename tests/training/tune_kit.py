"""A network that knows blue from green, and what it takes to teach it red."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from edgecam.commands.train import continued
from edgecam_training.options import Options
from edgecam_training.train import train
from training.photo_kit import picture, save
from training.qat_kit import use_small_backbone

OLD: Final = ("blue", "green")
BASE: Final = Options(
    input_height=64,
    input_width=64,
    backbone="small",
    head="linear",
    pretrained=False,
    dim=64,
    epochs=4,
    batch=8,
    head_epochs=0,
    last_epochs=0,
    small_share=0.0,
    mix="none",
    er=0.0,
    ecr=0.0,
    ema=0.5,
    lr_head=1e-2,
    lr_backbone=1e-2,
    recolour=0.0,
)


def photos_of(root: Path, *colours: str, first: int = 0, count: int = 10) -> Path:
    """root/COLOUR/NUMBER.png"""
    for colour in colours:
        for number in range(first, first + count):
            save(root / colour / f"{number:02}.png", picture(colour, number))
    return root


def base_run(folder: Path) -> Path:
    """A finished run on photos of the old classes, in folder/run."""
    with pytest.MonkeyPatch.context() as patch:
        use_small_backbone(patch)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        train(photos_of(folder / "old", *OLD), folder / "run", BASE)
    return folder / "run"


def to_tune(base: Path, tune: str, **changes: Any) -> Options:
    """Settings to go on from `base`."""
    return replace(continued(Options(), str(base), tune), **{"epochs": 6, **changes})
