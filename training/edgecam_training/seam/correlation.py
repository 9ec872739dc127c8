"""PCM, the pixel correlation module: a map spread over the pixels that look alike.

Source: Wang et al., arXiv:2004.04581. It learns beside the network and is left behind: neither its
gradients nor its weights reach what is exported.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecam_training.seam.maps import hardened, with_background

_EPS = 1e-5


class PixelCorrelation(nn.Module):
    """Maps of the classes present -> the same maps with a background, spread over alike pixels.

    Pixels are compared by 192 features out of both backbone maps (`channels`) and the picture itself.
    `linear` chooses the form that never holds a matrix of cells by cells.
    """

    def __init__(self, channels: tuple[int, int], *, linear: bool) -> None:
        super().__init__()
        self.linear = linear
        self.from16 = nn.Conv2d(channels[0], 64, 1, bias=False)
        self.from32 = nn.Conv2d(channels[1], 128, 1, bias=False)
        self.merge = nn.Conv2d(64 + 128 + 3, 192, 1, bias=False)

    def forward(self, cams: Tensor, present: Tensor, frames: Tensor, taps: tuple[Tensor, Tensor]) -> Tensor:
        """cams (n, k, h, w), present (n, k), frames (n, 16h, 16w, 3) uint8 -> (n, 1 + k, h, w) in [0, 1].

        In float32 whatever autocast says: the divisor is a sum over all cells.
        """
        with torch.autocast(cams.device.type, enabled=False):
            features = self.features(frames, *(tap.detach().float() for tap in taps))
            spread = spread_linearly if self.linear else spread_by_pairs
            return spread(seeds(cams.float(), present), features)

    def features(self, frames: Tensor, f16: Tensor, f32: Tensor) -> Tensor:
        """(n, 192, h, w) at stride 16; signed and of any length."""
        size = (f16.shape[2], f16.shape[3])
        pixels = F.adaptive_avg_pool2d(frames.permute(0, 3, 1, 2).float(), size) / 127 - 1
        coarse = F.relu(self.from32(f32))
        coarse = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        merged: Tensor = self.merge(torch.cat([pixels, F.relu(self.from16(f16)), coarse], dim=1))
        return merged


def seeds(cams: Tensor, present: Tensor) -> Tensor:
    """What is spread: at each pixel the strongest class present, and one minus it as background.

    (n, k, h, w) -> (n, 1 + k, h, w) without gradient. Published divides by each class's maximum first,
    so that classes compete at equal strength; here absent classes do not compete, since labels are known.
    """
    positive = F.relu(cams.detach()) * present[:, :, None, None]
    scaled = positive / (positive.amax(dim=(2, 3), keepdim=True) + _EPS)
    background = with_background(scaled)[:, :1]
    return torch.cat([background, hardened(scaled)], dim=1)


def spread_by_pairs(maps: Tensor, features: Tensor) -> Tensor:
    """Each pixel becomes the mean of all, weighted by the positive part of the cosine of their features.

    maps (n, c, h, w), features (n, d, h, w) -> (n, c, h, w). Holds (n, h w, h w) weights.
    """
    unit = F.normalize(features.flatten(2), dim=1)
    alike = F.relu(unit.transpose(1, 2) @ unit)  # (n, from, to)
    columns = alike / (alike.sum(dim=1, keepdim=True) + _EPS)
    return (maps.flatten(2) @ columns).reshape(maps.shape)


def spread_linearly(maps: Tensor, features: Tensor) -> Tensor:
    """spread_by_pairs of the features' positive part, in time and memory linear in the pixels.

    Cosines of what is nowhere negative need no ReLU, so the sums may be taken in the other order:
    (maps phi^T) phi instead of maps (phi^T phi). Source of that order: arXiv:2006.16236.
    """
    unit = F.normalize(F.relu(features.flatten(2)), dim=1)  # (n, d, h w)
    gathered = maps.flatten(2) @ unit.transpose(1, 2)  # (n, c, d)
    total = unit.sum(dim=2, keepdim=True).transpose(1, 2)  # (n, 1, d)
    return ((gathered @ unit) / (total @ unit + _EPS)).reshape(maps.shape)
