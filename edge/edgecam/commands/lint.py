"""`edgecam lint`: what TensorRT would refuse or spoil in a model, before anything is built."""

import importlib
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from edgecam_engines.console import emit, out
from edgecam_engines.lint import Finding, Severity, lint_model, lint_with_parser

COLOURS: Final[dict[Severity, str]] = {"error": "bold red", "warning": "yellow", "note": "cyan"}

SHOWN: Final = 5  # findings of one rule


def lint(model: Path, *, json: bool) -> bool:
    """Print what is found; False when there is an error among it. Raises EngineError for what is no ONNX."""
    findings = lint_model(model)
    trt = _parser()
    if trt is not None:
        findings += lint_with_parser(model, trt)
    counts = Counter(finding.severity for finding in findings)
    if json:
        emit(
            {
                "model": str(model),
                "parser": None if trt is None else f"{trt.__name__} {trt.__version__}",
                "errors": counts["error"],
                "findings": [finding._asdict() for finding in findings],
            }
        )
    else:
        _show(model, findings, trt)
    return not counts["error"]


def _parser() -> Any:
    """NVIDIA's parser where it works without a GPU, else None: then the rules judge alone."""
    try:
        return importlib.import_module("tensorrt_rtx")
    except (ImportError, OSError):
        return None


def _show(model: Path, findings: list[Finding], trt: Any) -> None:
    for rule, of_rule in groupby(findings, key=lambda finding: finding.rule):
        alike = list(of_rule)
        for finding in alike[:SHOWN]:
            line = Text(f"{finding.severity:<8}", style=COLOURS[finding.severity])
            line.append(f"{rule}, {finding.node}: ", style="bold")
            line.append(f"{finding.what}.", style="default")
            out.print(line)
        if len(alike) > SHOWN:
            out.print(f"{'':<8}and {len(alike) - SHOWN} more of {rule}; --json names them all.", markup=False)
        for todo in dict.fromkeys(finding.todo for finding in alike):
            out.print(Text(f"{'':<8}{todo}"))
    by = "edgecam's rules"
    if trt is not None:
        by += f" and the parser of {trt.__name__} {trt.__version__}"
    counts = Counter(finding.severity for finding in findings)
    said = ", ".join(f"{n} {severity}{'s' if n > 1 else ''}" for severity, n in counts.items())
    out.print(f"{model.name}, by {by}: {said or 'nothing found'}.", markup=False)
