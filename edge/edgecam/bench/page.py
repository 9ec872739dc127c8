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
    page.table(("", ""), [(key, str(value)) for key, value in document["provenance"].items()])
    page.save(path)
