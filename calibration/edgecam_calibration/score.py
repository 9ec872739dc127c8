"""Score stored maps, of any method, without any engine:

    python -m edgecam_calibration.score --cams DIR (--boxes FILE | --metadata DIR) [--masks DIR] [--json]

Each image has one .npy (h, w), named and nested as the image is: cat/001.npy or cat/001.jpg.npy. With
--boxes, boxes are in the map's own pixels (0-based, both corners inside) and maps are judged at their own
size, as the published WSOL evaluation judges stored maps; masks are brought to that size. With --metadata,
the folder of that benchmark, boxes are in pixels of the image, and boxes, maps (bicubic) and masks
(nearest) are brought to 224 x 224 first, as its own training does. --to-224 does so with --boxes too, for
maps of another size: x0 becomes int(x0 * 224 / w), where w is the map's. Each map is then min-max
normalised. Thresholds are 0, 0.001, 0.002, ... as in the published tables; that evaluation's own command
takes steps of 0.01 unless told otherwise: --interval 0.01 is the same. The document says which it was.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape

from edgecam_calibration.localization.report import Chosen, Localization
from edgecam_calibration.localization.scorer import Scorer
from edgecam_calibration.localization.stored_cams import Job, available_processors, find_cams, score_stored
from edgecam_calibration.localization.sweep import INTERVAL
from edgecam_calibration.localization.table import show
from edgecam_calibration.truth import IGNORE, BadMask, Truth, read_truth
from edgecam_calibration.truth.pictures import read_levels
from edgecam_calibration.truth.types import Label
from edgecam_engines.console import emit, log
from edgecam_engines.errors import DataError, EdgecamError

_FINEST: Final = 0.0001  # interval: maps of 256 levels and a histogram hold no more
_FIRST_MASKS: Final = 200  # looked at to tell what 255 stands for
_SHOWN: Final = 20  # bad annotations named one by one


class Given(NamedTuple):
    """One set of maps and where its truth lies."""

    cams: Path
    boxes: Path | None
    metadata: Path | None
    masks: Path | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 good, 1 a known error, 2 wrong usage, 3 an unexpected error, 130 interrupted."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    given = Given(asked.cams, asked.boxes, asked.metadata, asked.masks)
    fullsup = Given(asked.fullsup_cams, asked.fullsup_boxes, asked.fullsup_metadata, asked.fullsup_masks)
    _check(parser, given, "--")
    if any(fullsup):
        _check(parser, fullsup, "--fullsup-")
    try:
        result = score(
            given,
            fullsup if any(fullsup) else None,
            interval=asked.interval,
            ignore_255=asked.ignore_255,
            to_224=asked.to_224,
            workers=asked.workers,
            rng=np.random.default_rng(asked.seed),
        )
        if asked.json:
            emit(result.document())
        else:
            show(result)
    except EdgecamError as error:
        return _told(str(error), 1)
    except KeyboardInterrupt:
        return _told("Interrupted.", 130)
    except Exception as error:  # whatever it is, it gets its exit code
        trace = traceback.format_exc()
        return _told(f"{trace}\nedgecam did not expect this: {type(error).__name__}: {error}", 3)
    return 0


def score(
    given: Given,
    fullsup: Given | None,
    *,
    interval: float,
    ignore_255: bool | None,
    to_224: bool = False,
    workers: int,
    rng: np.random.Generator,
) -> Localization:
    """The figures of one set of maps, at thresholds chosen on another one if there is one.

    Raises DataError for what cannot be read, or maps that are missing.
    """
    chosen: Chosen | None = None
    if fullsup is not None:
        chosen = _scored(fullsup, interval, ignore_255, to_224, workers).choose()
    return _scored(given, interval, ignore_255, to_224, workers).result(chosen, rng=rng)


def _scored(given: Given, interval: float, ignore_255: bool | None, to_224: bool, workers: int) -> Scorer:
    if not given.cams.is_dir():
        raise DataError(f"{given.cams} is not a folder.\nGive the one that holds the maps: cat/001.npy, ...")
    truth = _truth(given, ignore_255)
    _tell(list(map(str, truth.problems)))
    stored = find_cams(given.cams, truth)
    published = given.metadata is not None
    job = Job(to_224 or published, not published, interval, _numbers(truth))
    scorer, beyond = score_stored(stored, job, workers=workers)
    _tell([f"{given.boxes}, {line}" for line in beyond])
    if beyond:
        log.print("Boxes of --boxes are in the map's own pixels; for boxes in the image's, use --metadata.")
    return scorer


def _truth(given: Given, ignore_255: bool | None) -> Truth:
    if ignore_255 is None:
        ignore_255 = given.masks is not None and _has_other_numbers(given.masks)
        if ignore_255:
            log.print("Some masks number objects below 255, so pixels of 255 are left out (--no-ignore-255).")
    if given.metadata is not None:
        return read_truth(given.metadata, "wsol", masks=given.masks, ignore_255=ignore_255)
    if given.boxes is not None:
        return read_truth(given.boxes, "csv", masks=given.masks, ignore_255=ignore_255)
    assert given.masks is not None  # `_check` saw to it
    return read_truth(given.masks, "masks", ignore_255=ignore_255)


def _has_other_numbers(masks: Path) -> bool:
    """Whether masks number their objects by something else than 255, which then means "leave it out"."""
    first = islice((file for file in sorted(masks.rglob("*.png")) if file.is_file()), _FIRST_MASKS)
    return any(((levels > 0) & (levels < IGNORE)).any() for levels in map(_levels, first))


def _levels(mask: Path) -> NDArray[np.uint8]:
    try:
        return read_levels(mask)
    except BadMask:  # whoever uses it will say so
        return np.zeros((1, 1), np.uint8)


def _numbers(truth: Truth) -> dict[Label, int]:
    """A number for each class when every image that has a mask says which it shows; else none."""
    labels = {image.label for image in truth.images.values() if image.masks is not None}
    if None in labels:
        return {}
    return {label: k for k, label in enumerate(sorted(labels, key=lambda label: (str(type(label)), label)))}


def _tell(problems: list[str]) -> None:
    for problem in problems[:_SHOWN]:
        log.print(escape(problem))
    if len(problems) > _SHOWN:
        log.print(f"... and {len(problems) - _SHOWN} more such annotations")


def _parser() -> argparse.ArgumentParser:
    first, _, rest = (__doc__ or "").partition(":")
    parser = argparse.ArgumentParser(
        prog="python -m edgecam_calibration.score",
        description=f"{first}. {rest.split('[--json]')[-1].strip()}",
    )
    parser.add_argument("--cams", type=Path, required=True, help="folder of maps, one .npy for each image")
    _add_truth(parser, "--", "")
    parser.add_argument("--fullsup-cams", type=Path, help="maps of another split, to choose thresholds on")
    _add_truth(parser, "--fullsup-", " of that split")
    parser.add_argument(
        "--ignore-255",
        action=argparse.BooleanOptionalAction,
        help="whether 255 in --masks is left out; otherwise yes if any mask has a number from 1 to 254",
    )
    parser.add_argument(
        "--to-224",
        action="store_true",
        help="bring maps, --boxes and masks to 224 x 224 first (--metadata always does)",
    )
    parser.add_argument(
        "--interval",
        type=_interval,
        default=INTERVAL,
        help="between thresholds (%(default)s; the published evaluation's own command takes 0.01)",
    )
    parser.add_argument(
        "--workers", type=_workers, default=available_processors(), help="processes (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap intervals (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _interval(text: str) -> float:
    value = float(text)
    if not _FINEST <= value <= 0.5:
        raise argparse.ArgumentTypeError(f"from {_FINEST} to 0.5, not {text}")
    return value


def _workers(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"1 or more, not {text}")
    return int(text)


def _add_truth(parser: argparse.ArgumentParser, prefix: str, whose: str) -> None:
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument(
        f"{prefix}boxes",
        type=Path,
        help=f"CSV with the header image_id,x0,y0,x1,y1{whose}, in pixels of the map",
    )
    truth.add_argument(f"{prefix}metadata", type=Path, help=f"WSOL benchmark's metadata folder{whose}")
    parser.add_argument(
        f"{prefix}masks",
        type=Path,
        help=f"folder of masks{whose}, or the one that --metadata's mask files are in",
    )


def _check(parser: argparse.ArgumentParser, given: Given, prefix: str) -> None:
    """Leave with a word about usage unless there are maps and truth."""
    if given.cams is None:
        parser.error(f"{prefix}cams DIR is missing: the folder of that split's maps")
    if given.boxes is None and given.metadata is None and given.masks is None:
        parser.error(f"say where things are: {prefix}boxes FILE, {prefix}metadata DIR or {prefix}masks DIR")


def _told(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
