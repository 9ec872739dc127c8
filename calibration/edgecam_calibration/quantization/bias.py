"""Bias correction: after it every convolution answers with FP32's mean, channel by channel.

What clips and roundings upstream do to the mean is measured, not modelled, and made good at the next bias,
so no layer hands it on. Source: arXiv:1906.04721, section 4.2 (the empirical variant).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.quantization.graph import constants, run_between
from edgecam_engines.engine import Frames


def bias_errors(reference: Any, quantized: Any, frames: Frames) -> dict[str, NDArray[np.float64]]:
    """What to add to each bias (o,) of `quantized`, by its name, so that means over frames agree.

    Both graphs have the same convolutions by name; Q/DQ pairs are computed in float. Convolutions are
    corrected in the graph's order, each on what the corrected ones before it give: a bias adds to the
    answer, so one pass through the graph is enough. Only what is still to be read is held in memory.
    """
    biases = constants(quantized)
    wanted = {node.name: node.output[0] for node in reference.graph.node if node.op_type == "Conv"}
    steps = [
        node
        for node in quantized.graph.node
        if node.op_type == "Conv" and node.name in wanted and len(node.input) == 3 and node.input[2] in biases
    ]
    means = _means(reference, [wanted[node.name] for node in steps], frames)
    found: dict[str, NDArray[np.float64]] = {}
    held: dict[str, NDArray[Any]] = {quantized.graph.input[0].name: frames}
    for place, node in enumerate(steps):
        answer = run_between(quantized, held, [node.output[0]])[0]
        error = means[wanted[node.name]] - answer.mean(axis=(0, 2, 3), dtype=np.float64)
        found[node.input[2]] = error
        held[node.output[0]] = answer + error.astype(np.float32)[None, :, None, None]
        _let_go(quantized, held, [later.output[0] for later in steps[place + 1 :]])
    return found


def _means(model: Any, names: list[str], frames: Frames) -> dict[str, NDArray[np.float64]]:
    sums: dict[str, NDArray[np.float64]] = {}
    for frame in frames:
        answers = run_between(model, {model.graph.input[0].name: frame[None]}, names)
        for name, answer in zip(names, answers, strict=True):
            mean = answer.mean(axis=(0, 2, 3), dtype=np.float64) / len(frames)
            sums[name] = sums.get(name, 0.0) + mean
    return sums


def _let_go(model: Any, held: dict[str, NDArray[Any]], targets: list[str]) -> None:
    """Forget tensors that no way to a target begins at."""
    makers = {output: node for node in model.graph.node for output in node.output}
    begun, left, seen = set(), list(targets), set(targets)
    while left:
        for name in makers[left.pop()].input:
            if name in held:
                begun.add(name)
            elif name in makers and name not in seen:
                seen.add(name)
                left.append(name)
    for name in [*held]:
        if name not in begun:
            del held[name]
