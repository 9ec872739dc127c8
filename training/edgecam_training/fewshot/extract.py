"""What an engine sees of photos that teach. Only features of the engine that will run are of use to it:
INT8 sees otherwise than FP32, one back end otherwise than another."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np

from edgecam_engines.bundle import Bundle
from edgecam_engines.engine import Engine, Features, Frame
from edgecam_engines.errors import BundleError, EngineError
from edgecam_engines.geometry import fit
from edgecam_training.fewshot.example import Example, make_example
from edgecam_training.fewshot.store import Store


def engine_key(bundle: Bundle, backend: str | None = None) -> str:
    """Which engine features are of: the back end, and the file it runs."""
    chosen, model = bundle.model(backend)
    digest = bundle.manifest.files[model.path.relative_to(bundle.path).as_posix()]["sha256"]
    return f"{chosen} {model.precision} {digest[:16]}"


def features_of(engine: Engine, frames: list[Frame]) -> Features:
    """Features of frames (h, w, 3) that are fitted to the input already. Raises EngineError."""
    features = engine.infer(np.stack(frames))
    if not np.isfinite(features).all():
        raise EngineError(
            f"The engine {engine.name} gave numbers that are not finite: nothing can be learned from them.\n"
            f"Build it again: edgecam build-engine RUN --precision fp32 --out NAME.edgecam"
        )
    return features


def examples_of(
    engine: Engine, photos: Iterable[tuple[Frame, str, str]], *, key: str, now: datetime, keep_photo: bool
) -> Iterator[Example]:
    """Frames of any size, each with its label and source, as examples, in order."""
    for frame, label, source in photos:  # one at a time: each can be on disk before the next is taken
        fitted = fit(frame, engine.input_hw)
        seen = features_of(engine, [fitted])
        yield make_example(fitted, seen, label, source=source, engine=key, now=now, keep_photo=keep_photo)


def stale(store: Store, key: str) -> list[Example]:
    """The examples that another engine saw."""
    return [each for each in store.ordered() if each.engine != key]


def see_again(store: Store, engine: Engine, key: str, now: datetime) -> int:
    """Let this engine look at the kept photos that another one saw; how many.

    Raises BundleError, before anything is changed, when some of them were not kept.
    """
    old = stale(store, key)
    lost = [each for each in old if not each.photo.size]
    if lost:
        labels = ", ".join(sorted({each.label for each in lost}))
        raise BundleError(
            f"{len(lost)} of the photos taught were seen by another engine than this bundle's, and the "
            f"photos themselves were not kept (--no-photos), so this engine cannot look at them: {labels}.\n"
            f"Take these classes out and teach them again, or run the engine that saw them "
            f"({lost[0].engine.split()[0]}) with --backend:\n"
            f"    edgecam teach {store.folder.parents[1]} --head {store.folder.name} "
            f"--remove-class {lost[0].label!r}"
        )
    for each in old:
        frame = each.frame()
        assert frame is not None
        fitted = fit(frame, engine.input_hw)
        seen = make_example(
            fitted,
            features_of(engine, [fitted]),
            each.label,
            source=each.source,
            engine=key,
            now=now,
            keep_photo=False,
        )
        # The photo as it was first kept, under the name it has: compressed again it would be another one.
        kept = Example(
            each.id, each.label, each.taken_at, each.source, key, seen.pooled, seen.cells, each.photo
        )
        store.add(kept)
    return len(old)
