"""The spatial kernel of a mix: how strongly it ties the gradients of two pixels, by their distance.

Mixing penalises, to second order, sum over pixel pairs of a_jk (d_j f)(d_k f) with
a_jk = E[(1 - M_j)(1 - M_k)], the share that stays drawn from Beta(alpha + 1, alpha). MixUp ties all pairs
alike, CutMix close ones alone. Where a part is moved or the masks follow the photos the theorem does not
hold; then this is what the masks look like and no more.
Source: Park et al., arXiv:2208.09913.

    python -m edgecam_training.mixing.kernel --out DIR [--run RUN] [--mix cutmix,fmix] [--draws 1000]
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

SIDE = 64  # pixels of a mask's sides


class Kernel(NamedTuple):
    """a_jk averaged over the pairs at each distance 0, 1, ... in pixels."""

    value: Tensor  # (distances,)
    error: Tensor  # (distances,) standard error of value / value[0]; 0 at distance 0
    draws: int

    @property
    def relative(self) -> Tensor:
        """value / value[0]: 1 for ever is MixUp."""
        return self.value / self.value[0]


def radial(by_offset: Tensor) -> Tensor:
    """The mean over each ring of offsets, distances rounded to whole pixels; (m, 2n, 2n) -> (m, n)."""
    n = by_offset.shape[-1] // 2
    offset = torch.fft.fftfreq(2 * n, 1 / (2 * n))
    ring = torch.hypot(offset[:, None], offset[None]).round().long().flatten()
    inside = ring < n
    sums = by_offset.new_zeros(len(by_offset), n)
    sums.index_add_(1, ring[inside], by_offset.flatten(1)[:, inside])
    return sums / ring[inside].bincount(minlength=n)


def axial(by_offset: Tensor) -> Tensor:
    """The mean over offsets along rows and along columns alone; (m, 2n, 2n) -> (m, n).

    Boxes stand along the axes, so this differs from the mean over rings, and it has closed forms.
    """
    n = by_offset.shape[-1] // 2
    return (by_offset[:, :n, 0] + by_offset[:, 0, :n]) / 2


def kernel_of(masks: Tensor, profile: Callable[[Tensor], Tensor] = radial) -> Kernel:
    """The kernel of drawn masks (draws, side, side), the weight of the image underneath."""
    rows = torch.cat([profile(correlations(1 - part)) for part in masks.double().split(128)])
    value = rows.mean(dim=0)
    away = rows - rows[:, :1] * (value / value[0])  # of a ratio, by the delta method
    return Kernel(value, away.std(dim=0) / len(rows) ** 0.5 / value[0], len(rows))


def correlations(weights: Tensor) -> Tensor:
    """Mean of w_j w_k over the pairs at each offset, (m, n, n) -> (m, 2n, 2n); offset 0 comes first."""
    n = weights.shape[-1]
    pairs = _correlated(torch.ones(1, n, n, dtype=weights.dtype))
    return _correlated(weights) / pairs.clamp(min=0.5)  # some offsets have no pair


def _correlated(weights: Tensor) -> Tensor:
    """sum_p w(p) w(p + offset) for every offset, without wrapping round: (m, n, n) -> (m, 2n, 2n)."""
    size = (2 * weights.shape[-1],) * 2
    return torch.fft.irfft2(torch.fft.rfft2(weights, s=size).abs().square(), s=size)


def main() -> None:
    """Draw the kernels, masks and samples of mixes, of generated pictures or of a run's photos."""
    from edgecam_training.mixing.explain import explain, explain_run
    from edgecam_training.mixing.plan import parse_mixes
    from edgecam_training.mixing.registry import MIXES
    from edgecam_training.mixing.specimens import specimens

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--run", type=Path, help="a finished run: its photos and its maps")
    parser.add_argument("--mix", default=",".join(MIXES), help="names; all without it")
    parser.add_argument("--draws", type=int, default=1000, help="masks a mix")
    asked = parser.parse_args()
    names = list(parse_mixes(asked.mix, 1.0))
    if asked.run:
        explain_run(asked.run, names, asked.out, draws=asked.draws)
    else:
        explain(specimens(8, (160, 160), seed=0), names, asked.out, draws=asked.draws)


if __name__ == "__main__":
    main()
