"""Which part of a finished network learns when `--tune` goes on from it; all else stays to the last bit.

head        the class head alone: no feature changes, so neither does the engine
bias        biases, those of norms too, and the class head (TinyTL, arXiv:2007.11622)
last-stage  the backbone behind its last features at stride 16, the feature head and the class head
all         everything

In each of them the norms keep their statistics, since a few photos say little about those.
"""

from collections.abc import Callable, Iterator
from typing import Final

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgecam_training.model import Model

Parameters = Iterator[nn.Parameter]


def let_learn(model: Model, tune: str) -> None:
    """Let this part learn, and put the modules that it lies in into training; the rest is as in use."""
    model.requires_grad_(False)
    for parameter in LEARNS[tune](model):
        parameter.requires_grad_(True)
    model.eval()
    model.training = True  # dropout on pooled features
    for part in (*model.backbone.body, *(m for name, m in model.named_children() if name != "backbone")):
        part.train(any(p.requires_grad for p in part.parameters()))
    for norm in (m for m in model.modules() if isinstance(m, _BatchNorm)):
        norm.eval()


def _head(model: Model) -> Parameters:
    yield from model.classify.parameters()


def _bias(model: Model) -> Parameters:
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[2] == "bias" or name.startswith("classify."):
            yield parameter


def _last_stage(model: Model) -> Parameters:
    for stage in model.backbone.body[model.backbone.taps[0] + 1 :]:
        yield from stage.parameters()
    for name, module in model.named_children():
        if name != "backbone":
            yield from module.parameters()


LEARNS: Final[dict[str, Callable[[Model], Parameters]]] = {
    "head": _head,
    "bias": _bias,
    "last-stage": _last_stage,
    "all": nn.Module.parameters,
}
