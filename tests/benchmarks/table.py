"""Printing for the benchmarks: a table for people and one JSON line with units in its keys."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def show(
    title: str, header: Sequence[str], rows: Sequence[Sequence[object]], document: dict[str, Any]
) -> None:
    """Print both."""
    table = Table(title=title, title_justify="left")
    for name in header:
        table.add_column(name)
    for row in rows:
        table.add_row(*map(str, row))
    Console(width=120).print(table)
    print(json.dumps({**document, "cpu": cpu_name(), "python": platform.python_version()}))


def cpu_name() -> str:
    """The processor as Linux names it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
