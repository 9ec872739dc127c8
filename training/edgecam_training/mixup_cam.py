"""Mixup-CAM's two losses: each cell should be sure of its class, each class's map should hold together.

Source: Chang et al., arXiv:2008.01201; the concentration loss after SCOPS, arXiv:1905.01298. The published
weights are 0.02 and 2e-4. The latter means nothing without the scale of the coordinates, which the paper
leaves open; here both axes run from -1 to 1 over the map, whatever its number of cells.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_EPS = 1e-5


def class_entropy(cams: Tensor) -> Tensor:
    """Entropy over the classes in each cell, mean over the cells; (n, k, h, w) -> (n,) in [0, log k], nats.

    Of the softmax of the maps, not of labels: those are given, so their entropy teaches nothing.
    """
    log_share = F.log_softmax(cams, dim=1)
    return -(log_share.exp() * log_share).sum(dim=1).mean(dim=(1, 2))


def concentration(cams: Tensor, shares: Tensor) -> Tensor:
    """Each class's spatial variance about its centre, times its share in the picture; (n,), >= 0.

    cams (n, k, h, w), of which the positive part counts; shares (n, k), 0 for a class that is absent.
    """
    h, w = cams.shape[2:]
    y, x = _centres(h, cams)[:, None], _centres(w, cams)
    positive = F.relu(cams)
    mass = positive / positive.sum(dim=(2, 3), keepdim=True).clamp_min(_EPS)
    centre_y = (mass * y).sum(dim=(2, 3), keepdim=True)
    centre_x = (mass * x).sum(dim=(2, 3), keepdim=True)
    spread = mass * ((y - centre_y).square() + (x - centre_x).square())
    return (spread.sum(dim=(2, 3)) * shares).sum(dim=1)


def _centres(size: int, like: Tensor) -> Tensor:
    """Where the cells' centres lie on an axis from -1 to 1, (size,)."""
    return (2 * torch.arange(size, dtype=like.dtype, device=like.device) + 1) / size - 1
