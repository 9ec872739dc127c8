"""A network's weights out of its exported FP32 graph, where the batch norms have been folded in.

What a norm did stands in the convolution before it, so the norm itself becomes one that changes nothing but
by its bias. The network then computes what the graph computes, and goes on learning from there; how gain and
weight shared the work before can no longer be told, and is not needed.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgecam_engines.errors import TrainingError
from edgecam_engines.onnx_file import parse_onnx
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_training.heads import LinearHead
from edgecam_training.model import Model
from edgecam_training.qat.fold import pairs

ALIKE = 1e-3  # of the largest feature: rounding alone leaves 1e-5


@torch.no_grad()
def unfold(graph: Path, content: bytes, model: Model, hw: tuple[int, int]) -> None:
    """Put the weights of an exported graph into the backbone and feature head it was exported from.

    `content` is the file's, `hw` the pixels it takes. Raises TrainingError unless the network then gives the
    features that the graph gives.
    """
    from onnx import numpy_helper

    there = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in parse_onnx(content, graph.name).graph.initializer
    }
    try:
        _fill(model, lambda name: there[name])
    except (KeyError, RuntimeError) as error:
        raise _another(graph, f"{error} does not fit") from error
    error = _difference(graph, model, hw)
    if not error < ALIKE:
        raise _another(graph, f"its features differ by {error:.1%}")


def _fill(model: Model, taken: Callable[[str], Tensor]) -> None:
    parts: dict[str, nn.Module] = {"body": model.backbone.body, "head": model.head}
    names = {m: f"{part}.{name}" for part, net in parts.items() for name, m in net.named_modules()}
    norms = [m for m in names if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        _neutral(norm)
    folded = dict(pair for m in names if isinstance(m, nn.Sequential) for pair in pairs(m))
    for conv, norm in folded.items():
        conv.weight.copy_(taken(f"{names[conv]}.weight"))
        (norm if conv.bias is None else conv).bias.copy_(taken(f"{names[conv]}.bias"))
    inside = {m.norm for m in names if isinstance(m, LinearHead)}  # folded into what reads it
    for norm in set(norms) - set(folded.values()) - inside:
        norm.weight.copy_(taken(f"{names[norm]}.scale").flatten())
        norm.bias.copy_(taken(f"{names[norm]}.shift").flatten())
    for module in set(names) - set(norms) - set(folded):
        for name, parameter in module.named_parameters(recurse=False):
            parameter.copy_(taken(f"{names[module]}.{name}"))
    first = next(m for m in model.backbone.body.modules() if isinstance(m, nn.Conv2d))
    first.weight.copy_(first.weight.flip(1) * model.backbone.std.view(1, 3, 1, 1))


def _neutral(norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.fill_(1)
    norm.bias.zero_()


def _difference(graph: Path, model: Model, hw: tuple[int, int]) -> float:
    """Between both answers to two pictures of noise, as a share of the largest feature."""
    noise = np.random.default_rng(0).integers(0, 256, (2, *hw, 3), dtype=np.uint8)
    engine = OnnxRuntimeEngine(graph, name="onnxruntime-fp32")
    try:
        wanted = engine.infer(noise)
    finally:
        engine.close()
    found = model.eval()(torch.from_numpy(noise)).numpy()
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def _another(graph: Path, why: str) -> TrainingError:
    return TrainingError(
        f"The weights in {graph} are not those of the network that its bundle's settings describe: {why}.\n"
        f"Give the run that the bundle was built from: --init RUN"
    )
