"""`edgecam export`: a bundle's model for other tools, checked against the bundle first."""

from pathlib import Path

from edgecam_engines.bundle import open_bundle
from edgecam_engines.console import emit, log
from edgecam_engines.export.bundle import Order, export_bundle


def export(bundle: Path, out: Path, order: Order, *, json: bool) -> None:
    """Export and say what was written. Raises the errors of errors.py."""
    written = export_bundle(open_bundle(bundle), out, order)
    if json:
        emit(written)
    checked = written["checked"]
    worst = max(checked["relative_error"].values())
    log.print(
        f"{written['out']} is ready: {written['precision']}, outputs {', '.join(written['outputs'])}. On "
        f"{checked['photos']} photos it answers as the bundle does (off by {worst:.1e} at most).",
        markup=False,
    )
