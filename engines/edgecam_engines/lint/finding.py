"""What a rule says of a node."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]


class Finding(NamedTuple):
    """One thing that is wrong with a model."""

    rule: str  # "int32-bias": for looking it up and for scripts
    severity: Severity  # "error": TensorRT refuses it, or there are no maps; "note": edgecam copes with it
    node: str  # name and operator, or "the model"
    what: str
    todo: str


def told(findings: Iterable[Finding]) -> str:
    """Two lines a finding, for a person."""
    return "\n".join(
        f"  {found.severity} {found.rule}, {found.node}: {found.what}.\n      {found.todo}"
        for found in findings
    )
