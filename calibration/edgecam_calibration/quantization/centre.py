"""The eighth bit of a rectified tensor where integers must be symmetric.

What leaves a ReLU6 is never negative, so symmetric integers spend half of their steps on nothing. Where no
reader pads with zeros, the tensor can be moved down by half its range: out of the bias before the clip,
through the clip's bounds, into the bias after it. The function stays the same.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecam_calibration.quantization.graph import Conv, constants, convolutions, replace_constants


def centre(model: Any, unsigned: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Move clipped tensors by half their range, in place; `unsigned` are their ranges from zero up.

    Returns by how much each moved tensor was lowered, before the clip and after it. Its symmetric range is
    plus and minus that much.
    """
    from onnx import numpy_helper

    arrays = constants(model)
    convs = convolutions(model)
    made_by = {conv.made: conv for conv in convs}
    read_by: dict[str, list[Conv]] = {}
    for conv in convs:
        read_by.setdefault(conv.given, []).append(conv)
    uses: dict[str, int] = dict.fromkeys((output.name for output in model.graph.output), 1)
    for node in model.graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    lowered: dict[str, float] = {}
    for node in model.graph.node:
        if node.op_type != "Clip" or not {*node.input[1:]} <= arrays.keys() or len(node.input) != 3:
            continue
        (given, low, high), made = node.input, node.output[0]
        readers = read_by.get(made, [])
        alone = given in made_by and uses[given] == 1 and uses.get(made, 0) == len(readers) > 0
        if not alone or any(any(conv.pads) for conv in readers) or float(arrays[low]) != 0.0:
            continue
        shift = unsigned[made][1] / 2
        if shift <= 0:
            continue
        lowered |= {given: shift, made: shift}
        arrays[made_by[given].bias] = arrays[made_by[given].bias] - shift
        for conv in readers:
            arrays[conv.bias] = arrays[conv.bias] + shift * arrays[conv.weight].sum(axis=(1, 2, 3))
        for place, bound in ((1, low), (2, high)):
            name = f"{made}_{'low' if place == 1 else 'high'}"
            moved = np.asarray(arrays[bound] - np.float32(shift), dtype=np.float32)
            model.graph.initializer.append(numpy_helper.from_array(moved, name))
            node.input[place] = name
    replace_constants(model, arrays)
    return lowered
