"""Mixes by name."""

from collections.abc import Callable
from typing import Final, NamedTuple

import torch
from torch import Tensor

from edgecam_training.mixing.attentive_cutmix import attentive_cutmix
from edgecam_training.mixing.blend import MaskLaw
from edgecam_training.mixing.contextmix import contextmix, contextmix_masks
from edgecam_training.mixing.cutmix import cutmix, cutmix_masks
from edgecam_training.mixing.cutout import cutout, cutout_masks
from edgecam_training.mixing.fmix import fmix, fmix_masks
from edgecam_training.mixing.gmix import gmix, gmix_masks
from edgecam_training.mixing.hmix import hmix, hmix_masks
from edgecam_training.mixing.mixed import Given, Mixed
from edgecam_training.mixing.mixup import mixup, mixup_masks
from edgecam_training.mixing.puzzlemix_lite import puzzlemix_lite
from edgecam_training.mixing.resizemix import resizemix, resizemix_masks
from edgecam_training.mixing.snapmix import snapmix, snapmix_masks

MixFunction = Callable[[Tensor, Tensor, Given, torch.Generator], Mixed]


class Mix(NamedTuple):
    run: MixFunction
    masks: MaskLaw | None  # how its masks are drawn; None: they follow from the photos
    alpha: float = 1.0  # what its authors use
    needs_saliency: bool = False
    own_size: bool = False  # it has sizes of its own, so alpha has no say
    moves: bool = False  # the part on top is resized, so pixels do not stay in their places


MIXES: Final[dict[str, Mix]] = {
    "cutmix": Mix(cutmix, cutmix_masks),
    "mixup": Mix(mixup, mixup_masks),
    "cutout": Mix(cutout, cutout_masks, own_size=True),
    "fmix": Mix(fmix, fmix_masks),
    "hmix": Mix(hmix, hmix_masks),
    "gmix": Mix(gmix, gmix_masks),
    "resizemix": Mix(resizemix, resizemix_masks, own_size=True, moves=True),
    "contextmix": Mix(contextmix, contextmix_masks, moves=True),
    "snapmix": Mix(snapmix, snapmix_masks, alpha=5.0, needs_saliency=True, moves=True),
    "puzzlemix-lite": Mix(puzzlemix_lite, None, needs_saliency=True),
    "attentive-cutmix": Mix(attentive_cutmix, None, needs_saliency=True, own_size=True),
}
