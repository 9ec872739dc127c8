"""What `edgecam eval` measures of one engine: how labels are told, how sure it is, where its maps point."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.curves import Curve, class_curves
from edgecam_calibration.classification.operating_point import OperatingPoint, detection, operating_point
from edgecam_calibration.classification.paired import Comparison
from edgecam_calibration.classification.reliability import Reliability, reliability
from edgecam_calibration.classification.scores import (
    ClassificationReport,
    MacroEstimates,
    classification_report,
    macro_estimates,
)
from edgecam_calibration.evaluate import Labelled, PhotoFrames, document, run_engine
from edgecam_calibration.localization.contours import box_iou, proposals
from edgecam_calibration.localization.report import Chosen, Localization, MapsCompared
from edgecam_calibration.localization.scoremap import scoremap
from edgecam_calibration.localization.scorer import Scorer
from edgecam_calibration.localization.sweep import INTERVAL, Sweep
from edgecam_calibration.truth import BadMask, Truth, match, protocol_boxes
from edgecam_calibration.truth.protocol import PROTOCOL_SIZE
from edgecam_calibration.truth.types import BadAnnotation, ImageTruth
from edgecam_engines.console import track
from edgecam_engines.engine import Engine
from edgecam_engines.errors import DataError
from edgecam_engines.head import Head
from edgecam_engines.photo import BadPhoto

_HW = PROTOCOL_SIZE[::-1]


class Answers(NamedTuple):
    """One engine's answers to labelled photos."""

    photos: list[Labelled]  # those that could be read
    labels: NDArray[np.int64]  # (n,)
    probabilities: NDArray[np.float32]  # (n, classes)
    maps: NDArray[np.float32]  # (n, gh, gw) of the class that the photo shows
    unreadable: list[BadPhoto]

    @property
    def called(self) -> NDArray[np.int64]:
        """The class named, (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)


@dataclass(frozen=True)
class Case:
    """One photo whose boxes are known, and how well its map's best box meets them."""

    photo: Labelled
    iou: float  # at the chosen threshold
    cam: NDArray[np.float32]  # (gh, gw)
    boxes: NDArray[np.int64]  # (k, 4) in pixels of the 224 x 224 protocol
    right: bool


@dataclass(frozen=True)
class Located:
    """Where the maps point."""

    found: Localization
    scorer: Scorer  # what the figures come from, to be set against another engine's
    cases: list[Case]  # worst first; empty without boxes
    problems: list[BadAnnotation]
    without: int  # photos of which nothing is known


class Against(NamedTuple):
    """One engine less another one on the same photos."""

    labels: Comparison
    maps: MapsCompared | None  # None where nothing is known of places

    def document(self) -> dict[str, Any]:
        """The object `against`."""
        maps = None if self.maps is None else self.maps.document()
        return {**self.labels.document(), "localization": maps}


@dataclass(frozen=True)
class Assessment:
    """All that is measured of one engine on one set of photos."""

    engine: str
    report: ClassificationReport
    macro: MacroEstimates
    confidence: Reliability
    curves: dict[str, Curve]
    point: OperatingPoint | None
    located: Located | None
    unreadable: list[BadPhoto]

    def document(self, against: "Against | None" = None) -> dict[str, Any]:
        """What `edgecam eval --json` prints; scripts rely on its first keys."""
        return {
            **document(self.report, self.engine),
            "localization": None if self.located is None else self.located.found.document(),
            "operating_point": None if self.point is None else self.point.document(),
            "macro": {
                name: {"value": share.value, "ci95": share.ci95}
                for name, share in self.macro._asdict().items()
            },
            "calibration": self.confidence.document(),
            "per_class_ci95": [interval._asdict() for interval in self.report.per_class_ci95],
            "confusion": self.report.confusion.tolist(),
            "curves": {name: curve.document() for name, curve in self.curves.items()},
            "undefined": self.report.undefined,
            "unreadable": [str(bad.path) for bad in self.unreadable],
            "against": None if against is None else against.document(),
        }


def answer(engine: Engine, head: Head, photos: Sequence[Labelled], *, batch: int = 8) -> Answers:
    """Ask the engine about every photo, `batch` at a time. Raises EngineError, and DataError for no photo."""
    frames = PhotoFrames(photos, engine.input_hw, f"Evaluating {engine.name}")
    outputs = run_engine(engine, head, frames, batch=batch, map_class=frames.labels)
    bad = {each.path for each in frames.unreadable}
    return Answers(
        photos=[photo for photo in photos if photo.path not in bad],
        labels=np.asarray(frames.labels, np.int64),
        probabilities=head.probabilities(outputs.logits),
        maps=outputs.maps,
        unreadable=list(frames.unreadable),
    )


def assess(
    given: Answers,
    classes: Sequence[str],
    engine: str,
    *,
    located: Located | None = None,
    point: OperatingPoint | None = None,
    rng: np.random.Generator,
) -> Assessment:
    """Score answers; where maps point and the operating point are brought along."""
    report = classification_report(given.labels, given.probabilities, classes)
    return Assessment(
        engine=engine,
        report=report,
        macro=macro_estimates(report.confusion, rng=rng),
        confidence=reliability(given.labels, given.probabilities, rng=rng),
        curves=class_curves(given.labels, given.probabilities, classes),
        point=point,
        located=located,
        unreadable=given.unreadable,
    )


def point_at(
    validation: Answers, test: Answers, classes: Sequence[str], *, max_fpr: float, positive: str | None
) -> OperatingPoint:
    """The threshold that holds `max_fpr` on validation, judged on test. Raises DataError."""
    asked = (detection(a.labels, a.probabilities, classes, positive) for a in (validation, test))
    return operating_point(*asked, max_fpr=max_fpr)


def locate(
    given: Answers,
    truth: Truth,
    root: Path,
    classes: Sequence[str],
    *,
    chosen: Chosen | None = None,
    rng: np.random.Generator,
) -> Located:
    """Score the maps of the photos' own classes against boxes and masks, at 224 x 224 as published.

    `chosen` are thresholds of other photos. Raises DataError when no photo is among the annotations.
    """
    matched = match(truth, [photo.path for photo in given.photos], root)
    problems = list(matched.problems)
    scorer, found = Scorer(hw=_HW, classes=len(classes)), []
    for i, photo in enumerate(track(given.photos, "Scoring maps")):
        known = matched.found.get(photo.path)
        if known is None:
            continue
        image = known.of_class(classes[photo.label])
        right = bool(given.called[i] == photo.label)
        boxes = protocol_boxes(image)
        mask = _mask(image, photo.path, problems)
        ious = scorer.add(given.maps[i], boxes=boxes, mask=mask, label=photo.label, right=right)
        if ious is not None:
            found.append((i, boxes, ious.best, right))
    if not len(scorer):
        raise DataError(_nothing_known(truth, given, matched.truth_without))
    result = scorer.result(chosen, rng=rng)
    result = replace(result, plain=result.figures)  # these maps are plain CAMs: nothing refines them
    cut = _cut(result.chosen.box)
    cases = [
        Case(given.photos[i], float(best[cut]), given.maps[i], boxes, right)
        for i, boxes, best, right in found
    ]
    ordered = sorted(cases, key=lambda case: case.iou)
    return Located(result, scorer, ordered, problems, len(given.photos) - len(scorer))


def thresholds(given: Answers, truth: Truth, root: Path, classes: Sequence[str]) -> Chosen | None:
    """The best thresholds on validation photos; None where nothing is known of any of them."""
    paths = [photo.path for photo in given.photos]
    if not match(truth, paths, root).found:
        return None
    return locate(given, truth, root, classes, rng=np.random.default_rng(0)).found.chosen


def beyond(truth: Truth, given: Answers, root: Path) -> Truth:
    """What is left when the photos' own annotations are taken out.

    Photos of another folder may be named alike, and would be judged by what these ones show.
    """
    left = match(truth, [photo.path for photo in given.photos], root).truth_without
    return replace(truth, images={image_id: truth.images[image_id] for image_id in left})


def best_box(case: Case, threshold: float) -> NDArray[np.int64]:
    """Of the boxes that a case's map proposes at a threshold the one that meets a true one best, (4,)."""
    cuts = Sweep(INTERVAL).cuts[[_cut(threshold)]]
    boxes = proposals(scoremap(case.cam, _HW), cuts).boxes
    best: NDArray[np.int64] = boxes[box_iou(boxes, case.boxes).max(axis=1).argmax()]
    return best


def _mask(image: ImageTruth, path: Path, problems: list[BadAnnotation]) -> NDArray[np.uint8] | None:
    if image.masks is None:
        return None
    try:
        return image.mask(_HW)
    except BadMask as bad:
        problems.append(BadAnnotation(bad.path, f"mask of {path.name}", bad.reason))
        return None


def _cut(threshold: float | None) -> int:
    sweep = Sweep(INTERVAL)
    return 0 if threshold is None else int(sweep.cut_of[sweep.nearest(threshold)])


def _nothing_known(truth: Truth, given: Answers, spare: Iterable[str]) -> str:
    first = next(iter(spare), "none")
    return (
        f"None of the {len(given.photos)} photos is among the {len(truth.images)} annotated images.\n"
        f"A photo is called {given.photos[0].path.parent.name}/{given.photos[0].path.name}, an annotated "
        f"image {first}. Name them alike: paths below the folder of photos."
    )
