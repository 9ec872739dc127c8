"""`edgecam doctor`: what is here, what is missing, and what to do about it."""

from pathlib import Path
from typing import Final

from rich.text import Text

from edgecam.doctor import diagnose, document, usable
from edgecam.doctor_finding import Finding, Status
from edgecam.inventory import take_inventory
from edgecam_engines.console import emit, out

COLOURS: Final[dict[Status, str]] = {"ok": "green", "note": "yellow", "problem": "bold red"}


def doctor(*, json: bool, bundle: Path | None = None) -> bool:
    """Look at this machine and print what was found; False when edgecam, or the bundle, cannot work here."""
    machine = take_inventory()
    findings = diagnose(machine)
    if bundle is not None:
        from edgecam.doctor_bundle import diagnose_bundle

        findings += diagnose_bundle(bundle, machine)
    if json:
        emit(document(findings))
    else:
        _show(findings)
    return usable(findings)


def _show(findings: list[Finding]) -> None:
    for finding in findings:
        line = Text(f"{finding.status:<9}", style=COLOURS[finding.status])
        line.append(f"{finding.name:<14}", style="bold")
        line.append(finding.found, style="default")
        out.print(line)
        # Whole lines, never a table's cells: what is to be typed must survive being copied.
        for words in finding.todo.splitlines():
            out.print(Text(f"{'':<23}{words}"))
    problems = sum(finding.status == "problem" for finding in findings)
    if problems:
        out.print(f"\nedgecam cannot work here until {problems} of these are solved (marked `problem`).")
    else:
        out.print("\nedgecam can work here.")
