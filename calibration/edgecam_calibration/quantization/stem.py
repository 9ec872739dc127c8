"""The one convolution that symmetric integers ruin more than all the others together."""

from typing import Any

from edgecam_calibration.quantization.graph import convolutions
from edgecam_calibration.quantization.pairs import before_rectifiers


def stem_in_float(model: Any) -> list[str]:
    """Names of the depthwise convolutions that read what the first convolution made; mostly one, or none.

    Their filters differentiate what the first one blurred: weights with a norm above 40 that sum to about
    nothing. They multiply the rounding of their input by as much, and it has only seven bits where integers
    are symmetric. They are a hundredth of the multiplications of a mobile network.
    """
    convs = convolutions(model)
    if not convs:
        return []
    first = before_rectifiers(model).get(convs[0].made, convs[0].made)
    return [conv.name for conv in convs if conv.given == first and conv.group > 1]
