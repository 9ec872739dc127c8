"""`edgecam build-engine`: from a run to a bundle that was measured."""

from pathlib import Path

from edgecam_calibration.build import build_engine
from edgecam_calibration.verdict import Bounds
from edgecam_engines.console import emit, log


def build(
    run: Path,
    out: Path,
    *,
    precision: str,
    backend: str,
    calibration: Path | None,
    val: Path | None,
    boxes: Path | None,
    bounds: Bounds,
    accept_unproven: bool,
    threads: int,
    json: bool,
) -> None:
    """Build and say what ships. Raises GateRefused and the errors of errors.py."""
    built = build_engine(
        run,
        out,
        precision=precision,
        backend=backend,
        calibration=calibration,
        val=val,
        boxes=boxes,
        bounds=bounds,
        accept_unproven=accept_unproven,
        threads=threads,
    )
    if json:
        emit(built.document())
    log.print(
        f"{out} is ready; {out / 'report.html'} shows how it was chosen. Try it:\n"
        f"    edgecam run --bundle {out} --camera 0\n"
        f"    edgecam bench {out}",
        markup=False,
    )
