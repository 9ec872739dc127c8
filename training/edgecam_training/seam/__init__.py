"""SEAM: maps of a transformed picture must be the transformed maps (arXiv:2004.04581)."""

from edgecam_training.seam.branch import add_correlation, drop_correlation, seam_loss, tapped

__all__ = ["add_correlation", "drop_correlation", "seam_loss", "tapped"]
