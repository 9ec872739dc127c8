"""Printing for the benchmarks: a table for people and one JSON line with units in its keys."""

import json
import platform
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from edgecam_engines.processor import cpu_model


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
    cpu = cpu_model() or platform.machine()
    print(json.dumps({**document, "cpu": cpu, "python": platform.python_version()}))
