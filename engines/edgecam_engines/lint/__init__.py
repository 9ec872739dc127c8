"""Pre-flight lint of an ONNX model: what TensorRT will refuse or spoil, by node, before minutes of building.

A rule is a generator `Graph -> Findings`, one module a subject. RULES lists them in the order of a report.
Nothing of the model is run, and a file from anywhere may be given.
"""

from edgecam_engines.lint.finding import Finding, Severity, told
from edgecam_engines.lint.model import RULES, lint_model, lint_with_parser

__all__ = ["RULES", "Finding", "Severity", "lint_model", "lint_with_parser", "told"]
