"""`edgecam lint`: what TensorRT would refuse or spoil in a model, before anything is built."""

import importlib
from collections import Counter
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from edgecam_engines.console import emit, out
from edgecam_engines.lint import Finding, Severity, lint_model, lint_with_parser

COLOURS: Final[dict[Severity, str]] = {"error": "bold red", "warning": "yellow", "note": "cyan"}


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
    for finding in findings:
        line = Text(f"{finding.severity:<8}", style=COLOURS[finding.severity])
        line.append(f"{finding.rule}, {finding.node}: ", style="bold")
        line.append(f"{finding.what}.", style="default")
        out.print(line)
        out.print(Text(f"{'':<8}{finding.todo}"))
    by = (
        "edgecam's rules"
        if trt is None
        else f"edgecam's rules and the parser of {trt.__name__} {trt.__version__}"
    )
    said = ", ".join(
        f"{n} {name}{'s' if n > 1 else ''}" for name, n in Counter(f.severity for f in findings).items()
    )
    out.print(f"{model.name}, by {by}: {said or 'nothing found'}.", markup=False)
