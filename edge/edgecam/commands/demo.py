"""`edgecam demo`: the whole road on real photos, measured on a test split that nothing else touches."""

import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.table import Table

from edgecam import elpv, live, overlay
from edgecam.belt import write_belt
from edgecam.bench import measure, order_statistic, synthetic_frame
from edgecam.commands.train import need_torch
from edgecam.settings import RunSettings
from edgecam.sheet import write_sheet
from edgecam_calibration.build import Built, build_engine
from edgecam_calibration.classification.scores import ClassificationReport, ClassScore
from edgecam_calibration.evaluate import Labelled, evaluate_photos, load_labelled
from edgecam_engines.bundle import Bundle
from edgecam_engines.console import emit, log
from edgecam_engines.console import out as stdout
from edgecam_engines.errors import OutputError
from edgecam_engines.files import write_json
from edgecam_engines.html import Report
from edgecam_training.options import Options

TRAIN_PER_CLASS: Final = 300
VAL_PER_CLASS: Final = 150
BELT_CELLS: Final = 24
BELT_SIDE: Final = 600
SEED: Final = 0
# Everything that the demo makes in its folder.
MADE: Final = frozenset(
    {"data", "run", "test", "model.edgecam", "belt.mp4", "overlay.mp4"}
    | {"overlays.png", "report.html", "summary.json"}
)


class Timed(NamedTuple):
    """How fast the bundle is here."""

    p50_ms: float
    p99_ms: float
    fps: float  # of the camera loop on the belt, overlay drawn, video being saved


def recipe(epochs: int, expect: dict[str, float]) -> Options:
    """Defects are a few pixels wide and can lie anywhere; a cell has no upside.

    So crops keep most of a cell, and nothing is pasted over it: a box of another cell can hide the very
    crack that the label is about. How dark a cell is says something too. Training sees as many defective
    cells as others; `expect` tells it how many there are in use.
    """
    return Options(
        epochs=epochs,
        batch=16,
        lr_backbone=1e-3,
        min_crop=0.8,
        flip_vertical=True,
        recolour=0.3,
        mix="none",
        er=0.0,
        ecr=0.0,
        # Defective and functional are states of a surface: there is no thing for the maps to show.
        shared_map=0.0,
        pretrained_share=0.0,  # solar cells, lit by their own current, are in no photo of ImageNet
        expect=expect,
        seed=SEED,
    )


def demo(folder: Path, *, epochs: int, json: bool) -> None:
    """Make everything in `folder`, print one table, and say what to type next."""
    need_torch()
    from edgecam_training.data import cache_folder
    from edgecam_training.train import train

    began = time.monotonic()
    _prepare(folder)
    log.print(elpv.LICENCE)
    cells = elpv.fetch(cache_folder())
    parts = elpv.split(cells, seed=SEED, per_class=TRAIN_PER_CLASS, val_per_class=VAL_PER_CLASS)
    for name, photos in (("data/train", parts.train), ("data/val", parts.val), ("test", parts.test)):
        elpv.lay_out(photos, folder / name)

    train_began = time.monotonic()
    in_use = elpv.shares(sorted({*cells} - {*parts.test}))
    train(folder / "data", folder / "run", recipe(epochs, expect=in_use))
    build_began = time.monotonic()
    built = build_engine(folder / "run", folder / "model.edgecam")
    test_began = time.monotonic()
    scores = _score(built.bundle, folder)
    timed = _time(built.bundle, folder)
    seconds = {
        "train": round(build_began - train_began, 1),
        "build": round(test_began - build_began, 1),
        "total": round(time.monotonic() - began, 1),
    }
    summary = _summary(scores, built, timed, seconds)
    write_json(folder / "summary.json", summary)
    _report(folder, scores, built, summary)
    if json:
        emit(summary)
    else:
        _show(folder, scores, summary)


def _prepare(folder: Path) -> None:
    """An earlier demo is replaced; anything else is left alone."""
    if folder.exists() and (strange := sorted({p.name for p in folder.iterdir()} - MADE)):
        raise OutputError(
            f"{folder} holds other things ({', '.join(strange[:3])}), so the demo leaves it alone.\n"
            f"Choose an empty folder:\n    edgecam demo --out demo-out"
        )
    try:
        for path in (folder / name for name in MADE):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}. Choose another --out.") from error


def _score(bundle: Bundle, folder: Path) -> ClassificationReport:
    """The shipped engine on the untouched test photos, and a sheet of some of them."""
    head = bundle.head()
    photos = load_labelled(folder / "test", head.classes)
    with closing(bundle.engine()) as engine:
        scores = evaluate_photos(engine, head, photos).report
        shown = [
            (photo.path, head.classes[photo.label])
            for name, count in (("defective", 12), ("functional", 6))
            for photo in _spread([p for p in photos if head.classes[p.label] == name], count)
        ]
        write_sheet(shown, engine, head, folder / "overlays.png")
    return scores


def _spread(photos: list[Labelled], count: int) -> list[Labelled]:
    return photos[:: max(1, len(photos) // count)][:count]


def _time(bundle: Bundle, folder: Path) -> Timed:
    """Latency of one frame, and the rate of the real camera loop over a belt of test cells."""
    head = bundle.head()
    with closing(bundle.engine()) as engine:
        measured = measure(
            engine, head, synthetic_frame(), lambda frame, result: overlay.draw(frame, result, 30.0), runs=200
        )
    photos = load_labelled(folder / "test", head.classes)
    write_belt([photo.path for photo in _spread(photos, BELT_CELLS)], folder / "belt.mp4", BELT_SIDE)
    belt = str(folder / "belt.mp4")
    summary = live.run(
        RunSettings(bundle.path, (belt,), record=folder / "overlay.mp4", window=False, threshold=0.0)
    )
    (folder / "belt.mp4").unlink()
    latency = measured.latency_ms
    return Timed(order_statistic(latency, 50), order_statistic(latency, 99), summary.fps)


def _summary(
    scores: ClassificationReport, built: Built, timed: Timed, seconds: dict[str, float]
) -> dict[str, Any]:
    chosen = built.chosen
    return {
        "test": {
            "n": scores.n,
            "top1": scores.top1,
            "top1_ci95": scores.top1_ci95,
            "macro_f1": scores.macro_f1,
        },
        "agreement": chosen.agreement.value,
        "cam_iou": chosen.cam_iou.mean,
        "latency_ms": {"p50": round(timed.p50_ms, 3), "p99": round(timed.p99_ms, 3)},
        "fps": round(timed.fps, 1),
        "seconds": seconds,
        "chosen": chosen.precision,
        "backend": chosen.backend,
        "candidates": [verdict.document() for verdict in built.verdicts],
    }


def _rows(scores: ClassificationReport, summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The one table: what was measured, in words."""
    low, high = scores.top1_ci95
    latency, seconds = summary["latency_ms"], summary["seconds"]
    return [
        ("test accuracy", f"{scores.top1:.1%} of {scores.n} photos (95 % interval {low:.1%} to {high:.1%})"),
        *((score.name, _class_row(score)) for score in scores.per_class),
        *((f"{c['precision']} on {c['backend']}", _candidate_row(c)) for c in summary["candidates"]),
        ("ships", f"{summary['chosen']} on {summary['backend']}"),
        (
            "one 720p frame",
            f"p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms here, overlay included",
        ),
        ("camera loop", f"{summary['fps']:.0f} frames/s with the video being saved"),
        (
            "seconds",
            f"training {seconds['train']:.0f}, engine {seconds['build']:.0f}, all {seconds['total']:.0f}",
        ),
    ]


def _class_row(score: ClassScore) -> str:
    shares = f"precision {score.precision:.1%}, recall {score.recall:.1%}, F1 {score.f1:.3f}"
    return f"{shares}, FPR {score.fpr:.1%}"


def _candidate_row(candidate: dict[str, Any]) -> str:
    verdict = "passes" if candidate["passed"] else f"{candidate['state']}: {'; '.join(candidate['reasons'])}"
    maps = f"CAM IoU {candidate['cam_iou']:.3f} (10th percentile {candidate['cam_iou_p10']:.3f})"
    return f"agreement with FP32 {candidate['agreement']:.1%}, {maps}; {verdict}"


def _report(folder: Path, scores: ClassificationReport, built: Built, summary: dict[str, Any]) -> None:
    report = Report("edgecam demo: defects in solar cells")
    report.text(elpv.LICENCE)
    report.table(("What", "Measured"), _rows(scores, summary))
    report.picture(folder / "overlays.png", "Test cells as the camera loop draws them; the truth below each")
    report.heading("Training")
    report.picture(folder / "run" / "curves.png", "Loss and accuracy by epoch")
    report.picture(
        folder / "run" / "confusion.png", "Validation: rows are what it is, columns what it was called"
    )
    report.save(folder / "report.html")


def _show(folder: Path, scores: ClassificationReport, summary: dict[str, Any]) -> None:
    table = Table(title="edgecam demo", title_justify="left", show_header=False)
    for name, value in _rows(scores, summary):
        table.add_row(name, value)
    stdout.print(table)
    stdout.print(
        f"Look at {folder / 'overlay.mp4'}, {folder / 'overlays.png'} and {folder / 'report.html'}.\n"
        f"Next, type:\n"
        f"    edgecam run --bundle {folder / 'model.edgecam'} --camera 0\n"
        f"    edgecam eval {folder / 'model.edgecam'} {folder / 'test'}\n"
        f"    edgecam bench {folder / 'model.edgecam'}",
        markup=False,
    )
