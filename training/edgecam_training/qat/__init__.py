"""Quantization-aware training: a copy of the network learns to be rounded as INT8 hardware rounds it."""

from edgecam_training.qat.keep import keep_student
from edgecam_training.qat.tune import Stopped, tune

__all__ = ["Stopped", "keep_student", "tune"]
