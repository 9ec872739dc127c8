"""A benchmark as one page that needs nothing else: the verdict, the figures, two pictures."""

import tempfile
from pathlib import Path
from typing import Any

from edgecam.bench.pictures import draw_cdf, draw_histogram
from edgecam.bench.stages import LABELS
from edgecam.bench.table import lines
from edgecam.bench.timing import Floats
from edgecam_engines.html import Report


def write_page(path: Path, document: dict[str, Any], latency_ms: Floats) -> None:
    """Raises OutputError."""
    title = f"{document['engine']}, {document['scenario']}, {document['runs']} queries"
    page = Report(f"edgecam bench: {title}")
    page.heading("Valid" if document["valid"] else "INVALID")
    for reason in document["invalid"]:
        page.text(f"INVALID: {reason}")
    page.heading("Times, ms")
    rows: list[tuple[str, dict[str, float]]] = [
        (LABELS.get(name, name), percentiles) for name, percentiles in document["stages"].items()
    ]
    rows += [("latency", document["latency_ms"]), ("processor time", document["cpu_ms"])]
    page.table(
        ("", *document["latency_ms"]),
        [(name, *(f"{ms:.3f}" for ms in percentiles.values())) for name, percentiles in rows],
    )
    for line in lines(document):
        page.text(line)
    with tempfile.TemporaryDirectory() as folder:
        for draw, name in ((draw_histogram, "latencies"), (draw_cdf, "tail")):
            picture = Path(folder) / f"{name}.png"
            draw(latency_ms, title, picture)
            page.picture(picture, f"{title}: {name}")
    page.heading("Where it was measured")
    for line in _where(document["provenance"]):
        page.text(line)
    page.save(path)


def _where(provenance: dict[str, Any]) -> list[str]:
    """A line for each thing that is known, and one for all that are not."""
    known = {key: value for key, value in provenance.items() if value not in (None, [], {})}
    unknown = ", ".join(key for key in provenance if key not in known)
    lines = [f"{key}: {_in_words(value)}" for key, value in known.items()]
    return [*lines, f"Not told by this machine: {unknown}"] if unknown else lines


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(each)}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(map(_in_words, value))
    return str(value)
