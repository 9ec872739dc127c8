"""The convolution that 8 bits ruin more than all the others together."""

from typing import Any

from edgecam_calibration.quantization.graph import convolutions
from edgecam_calibration.quantization.pairs import before_rectifiers
from edgecam_calibration.quantization.profiles import Profile


def stem_in_float(model: Any, profile: Profile) -> list[str]:
    """Names of the stem's nodes that stay in float, empty where a network has none.

    The stem is the first convolution and a depthwise one that reads it. The latter's filters differentiate
    what the former blurred: weights with a norm above 40 that sum to about nothing multiply the rounding of
    their input by as much. They are a hundredth of the multiplications of a mobile network. TensorRT's
    integer convolutions can write floats, so the first one need not be float too; a CPU's cannot, and there
    both in float cost no time, since depthwise convolutions gain little from integers.
    """
    convs = convolutions(model)
    if not convs:
        return []
    first = convs[0]
    read = before_rectifiers(model).get(first.made, first.made)
    depthwise = [conv.name for conv in convs if conv.given == read and conv.group > 1]
    if not depthwise or profile.signed:
        return depthwise
    makers = [node.name for node in model.graph.node if {*node.output} & {first.made, read}]
    return [*makers, *depthwise]
