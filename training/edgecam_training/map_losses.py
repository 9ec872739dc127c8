"""Everything in the loss that looks at maps rather than at answers: SEAM's and Mixup-CAM's part."""

import torch
from torch import Tensor

from edgecam_training.mixing import Mixed
from edgecam_training.mixup_cam import class_entropy, concentration
from edgecam_training.model import Model
from edgecam_training.multilabel import class_shares
from edgecam_training.options import Options
from edgecam_training.seam import seam_loss
from edgecam_training.seam.branch import Taps


def map_loss(
    model: Model, features: Tensor, taps: Taps, mixed: Mixed, options: Options, rng: torch.Generator
) -> Tensor:
    """The weighted sum of all that is switched on, a scalar; 0 where nothing is.

    features (n, d, h, w) and taps are what the network made of the mixed pictures.
    """
    classes = model.classify.out_features
    shares = class_shares(mixed.first, mixed.second, mixed.first_share, mixed.second_share, classes)
    total = features.new_zeros(())
    if options.cam_entropy:
        total = total + options.cam_entropy * class_entropy(model.cams(features)).mean()
    if options.cam_concentration:
        spread = concentration(model.cams(features), shares)
        total = total + options.cam_concentration * spread.mean()
    if options.seam:
        total = total + seam_loss(model, features, taps, mixed, (shares > 0).float(), options, rng)
    return total
