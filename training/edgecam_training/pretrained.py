"""Averages a trained backbone with the pretrained one that it began as.

Fine-tuning fits the photos at hand and forgets some of what ImageNet taught, which is missed as soon as
photos come from elsewhere: other shelves, other light. A mean of both networks, which lie in one valley of
the loss, keeps most of either, and costs nothing in training or use. Batch normalisation's running
statistics are averaged with the weights they belong to; computed anew from the training photos instead,
they undo the gain. Source: WiSE-FT, arXiv:2109.01903.
"""

import torch

from edgecam_training.backbone import make_backbone
from edgecam_training.model import Model


@torch.no_grad()
def blend_pretrained(model: Model, name: str, share: float) -> None:
    """weights <- (1 - share) * weights + share * pretrained, in the backbone called `name`; in place.

    `share` is within 0 and 1; 0 changes nothing. Raises TrainingError where the weights cannot be had.
    """
    if share == 0:
        return
    before = make_backbone(name, pretrained=True).state_dict()
    for key, mine in model.backbone.state_dict().items():
        if mine.is_floating_point():
            mine.lerp_(before[key].to(mine.device), share)
