"""What a rounded network is taught: to answer and to point as the float network does. All unreduced."""

import torch
import torch.nn.functional as F
from torch import Tensor

_EPS = 1e-6


def answer_error(logits: Tensor, wanted: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the teacher's answer from the student's, nats; (n, k) twice -> (n,).

    The teacher's answer is the label: its gradient is that of cross-entropy against it.
    """
    target = wanted.log_softmax(dim=1)
    return (target.exp() * (target - logits.log_softmax(dim=1))).sum(dim=1)


def feature_error(features: Tensor, wanted: Tensor) -> Tensor:
    """Squared error of all features as a share of their squared size, (n, d, h, w) twice -> (n,)."""
    error = (features - wanted).square().flatten(1).sum(dim=1)
    return error / wanted.square().flatten(1).sum(dim=1).clamp_min(_EPS)


def map_error(maps: Tensor, wanted: Tensor) -> Tensor:
    """One less the correlation of two maps over their cells, (n, h, w) twice -> (n,) in [0, 2].

    What a map marks is what lies above the middle between its least and its greatest value. Neither an
    offset nor a positive factor changes that, and neither changes this.
    """
    first, second = (m.flatten(1) - m.flatten(1).mean(dim=1, keepdim=True) for m in (maps, wanted))
    return 1 - F.cosine_similarity(first, second, dim=1, eps=_EPS)


def top_maps(weight: Tensor, features: Tensor, top: Tensor) -> Tensor:
    """The map of one class a picture, top (n,), from weight (k, d) and features (n, d, h, w) -> (n, h, w)."""
    return torch.einsum("nd,ndhw->nhw", weight[top], features)


def lesson_error(model_weight: Tensor, model_bias: Tensor, features: Tensor, wanted: Tensor) -> Tensor:
    """The three errors of features against the float network's, (n, d, h, w) twice, added; (n,).

    `model_weight` (k, d) and `model_bias` (k,) are the class head, which both share.
    """
    logits, target = (F.linear(f.mean(dim=(2, 3)), model_weight, model_bias) for f in (features, wanted))
    top = target.argmax(dim=1)
    maps = [top_maps(model_weight, f, top) for f in (features, wanted)]
    return answer_error(logits, target) + feature_error(features, wanted) + map_error(*maps)
