"""Are the names right, and how sure are they: counts, curves, thresholds, calibration, comparisons."""
