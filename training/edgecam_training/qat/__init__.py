"""Quantization-aware training: a copy of the network learns to be rounded as INT8 hardware rounds it."""

from edgecam_training.qat.tune import learn_rounding

__all__ = ["learn_rounding"]
