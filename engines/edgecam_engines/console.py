"""Where words go: logs and bars to stderr (bars on a terminal only), results to stdout."""

import json
import sys
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")

log = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)


def emit(document: Any) -> None:
    """One JSON document on one line of stdout, flushed, so that a pipe sees it at once."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def bar() -> Progress:
    """A progress bar that shows on a terminal and is silent elsewhere."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=log,
        transient=True,
        disable=not log.is_terminal,
    )


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar that names what is going on."""
    with bar() as progress:
        task = progress.add_task(what, total=total if total is not None else _length(items), note="")
        for item in items:
            yield item
            progress.advance(task)


def _length(items: Iterable[Any]) -> int | None:
    return len(items) if isinstance(items, Sized) else None
