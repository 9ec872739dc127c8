"""The one who teaches a bundle's head: takes photos in, fits, writes versions, undoes.

    with open_teacher(Path("line.edgecam")) as teacher:
        for frame in frames:
            teacher.add(frame, "mug", source="camera 0")
        lesson = teacher.fit()

A photo is on disk before `add` returns. A head is in use when `fit` returns: a running loop that polls
`Bundle.watch` takes it over. One teacher a bundle; whoever comes second is refused.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.engine import Engine, Features, Frame
from edgecam_engines.errors import BundleDamaged, BundleError, DataError
from edgecam_engines.geometry import fit as fit_frame
from edgecam_engines.taught.lock import only_teacher
from edgecam_engines.taught.versions import (
    DEFAULT,
    current,
    folder_of,
    load_note,
    save_version,
    use_version,
    versions,
)
from edgecam_training.fewshot.beside import Base
from edgecam_training.fewshot.example import Example, make_example
from edgecam_training.fewshot.extract import engine_key, examples_of, features_of, see_again, stale
from edgecam_training.fewshot.figures import document, figures_of
from edgecam_training.fewshot.fit import Taken, fit_head
from edgecam_training.fewshot.known import base_of, golden_features
from edgecam_training.fewshot.learned import Floats
from edgecam_training.fewshot.lesson import Added, Lesson, Undone, Ways
from edgecam_training.fewshot.store import QUOTA_MB, Store, open_store

SAME: Final = 0.1  # of a photo's features' length: nearer to another it shows the same thing the same way.
# Measured: between two photos of 2,640 at least 0.13, between FP32 and INT8 of one photo 0.04.
VERSIONS_KEPT: Final = 20


class Teacher:
    """See the first lines. Use it from one thread."""

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        store: Store,
        engine: Callable[[], Engine],
        key: str,
        keep_photos: bool,
    ) -> None:
        self.bundle, self.store, self.folder = bundle, store, folder_of(bundle.path, name)
        self._engine, self._key, self._keep = engine, key, keep_photos

    @property
    def ways(self) -> Ways:
        """How the version in use was fitted; the defaults before there is one."""
        version = current(self.folder)
        return Ways() if version is None else Ways(**load_note(self.folder, version).about["ways"])

    def add(
        self,
        frame: Frame,
        label: str,
        *,
        source: str,
        features: Features | None = None,
        now: datetime | None = None,
    ) -> Added:
        """Take one frame of any size in. `features` (1, d, gh, gw): what this engine already said of it."""
        fitted = fit_frame(frame, self.bundle.input_hw)
        seen = features_of(self._engine(), [fitted]) if features is None else features
        when = now or datetime.now(timezone.utc)
        example = make_example(
            fitted, seen, label, source=source, engine=self._key, now=when, keep_photo=self._keep
        )
        return self._keep_it(example)

    def add_all(
        self, photos: Iterable[tuple[Frame, str, str]], *, now: datetime | None = None
    ) -> Iterator[Added]:
        """Frames of any size, each with its label and source; each is on disk when it comes out."""
        when = now or datetime.now(timezone.utc)
        found = examples_of(self._engine(), photos, key=self._key, now=when, keep_photo=self._keep)
        return map(self._keep_it, found)

    def remove_class(self, label: str) -> int:
        """Take all photos of a class out; how many. Raises DataError when it has none."""
        ids = [each.id for each in self.store.ordered() if each.label == label]
        if not ids:
            raise DataError(
                f"No photo was taught as {label!r}. Taught are: {', '.join(self.store.labels) or 'none'}."
            )
        self.store.remove(ids)
        return len(ids)

    def fit(
        self, ways: Ways | None = None, *, quick: bool = False, rng: np.random.Generator | None = None
    ) -> Lesson:
        """Fit a head to all photos there are and put it in use. DataError, BundleError, OutputError.

        `quick` is for a running loop: the method that was chosen last is taken without looking at the others,
        and neither photos that pull wrongly nor backgrounds are looked for. A later `fit()` does all that.
        """
        ways, method = ways or self.ways, None
        if quick:
            method = self._last_method()
        if stale(self.store, self._key):
            see_again(self.store, self._engine(), self._key, datetime.now(timezone.utc))
        base, others, taken, ids = self._taken(ways.alone)
        fitted = fit_head(
            taken,
            base=base,
            others=others,
            method=method or ways.method,
            max_false_reject=ways.max_false_reject,
        )
        figures = figures_of(taken, fitted, base, quick=quick, rng=rng or np.random.default_rng(0))
        about = {
            "ways": vars(ways),
            "engine": self._key,
            "taught_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "examples": {each.id: each.label for each in self.store.ordered()},
            "figures": document(figures, taken, fitted, ids),
        }
        taught = save_version(self.folder, fitted.head, network=self.bundle.network, about=about)
        self._forget_old_versions(taught.version)
        return Lesson(taught, fitted, taken, figures, ids)

    def undo(self) -> Undone:
        """Go back to the version before, with its photos under its labels. BundleError: there is none."""
        version = current(self.folder)
        if version is None:
            raise BundleError(
                f"The head {self.folder.name!r} of {self.bundle.path.name} was never taught, so there is "
                f"nothing to undo.\nSee what there is:\n    edgecam teach {self.bundle.path} --list"
            )
        parent = self._before(version)
        if parent is not None and parent not in versions(self.folder):
            raise BundleError(f"Versions before {version} are no longer kept ({VERSIONS_KEPT} are).")
        missing = self._photos_of(parent)
        use_version(self.folder, parent)
        return Undone(parent, len(self.store.examples), missing)

    def take_back(self) -> Undone:
        """Photos as the version in use knows them, forgetting what was added or changed since."""
        version = current(self.folder)
        missing = self._photos_of(version)
        return Undone(version, len(self.store.examples), missing)

    def _photos_of(self, version: int | None) -> list[str]:
        """Make the photos those of a version, under its labels; ids of those that are gone for good."""
        wanted: dict[str, str] = {}
        if version is not None:
            wanted = load_note(self.folder, version).about["examples"]
        missing = [each for each in wanted if not self.store.bring_back(each)]
        self.store.remove([each for each in self.store.examples if each not in wanted])
        for each, label in wanted.items():
            if each in self.store.examples and self.store.examples[each].label != label:
                self.store.relabel(each, label)
        return missing

    def _last_method(self) -> str | None:
        version = current(self.folder)
        return None if version is None else load_note(self.folder, version).about["figures"]["method"]

    def _before(self, version: int) -> int | None:
        """The version before one; where that one is damaged, the newest that is older."""
        try:
            return load_note(self.folder, version).parent
        except BundleDamaged:
            return max((each for each in versions(self.folder) if each < version), default=None)

    def _keep_it(self, example: Example) -> Added:
        before = self.store.examples.get(example.id)
        like = None if before is not None else self._like(example)
        self.store.add(example)
        return Added(example, None if before is None else before.label, like)

    def _like(self, example: Example) -> str | None:
        others = [each for each in self.store.examples.values() if each.label == example.label]
        if not others:
            return None
        apart = np.linalg.norm(np.stack([each.pooled for each in others]) - example.pooled, axis=1)
        nearest = int(apart.argmin())
        near = float(apart[nearest]) < SAME * float(np.linalg.norm(example.pooled))
        return others[nearest].id if near else None

    def _taken(self, alone: bool) -> tuple[Base | None, Floats, Taken, list[str]]:
        old = () if alone else self.bundle.head().classes
        known = [each for each in self.store.ordered() if each.label in old]
        new = [each for each in self.store.ordered() if each.label not in old]
        if not new:
            taught = (
                f"photos of {', '.join(sorted({each.label for each in known}))}" if known else "no photos"
            )
            raise DataError(
                f"There is nothing new to learn: there are {taught}, and {self.bundle.path.name} knows "
                f"{', '.join(old) or 'no class'} already.\nTeach another class, or a head that knows nothing "
                f"else:\n"
                f"    edgecam teach {self.bundle.path} --alone --head {self.folder.name} ..."
            )
        base = base_of(self.bundle, golden_features(self.bundle, self._engine, self._key), known)
        classes = tuple(sorted({each.label for each in new}))
        others = base.pooled[~np.isin(np.array(base.head.classes)[base.labels], classes)]
        taken = Taken(
            np.stack([each.pooled for each in new]).astype(np.float64),
            np.stack([each.cells for each in new]),
            np.array([classes.index(each.label) for each in new], np.int64),
            classes,
        )
        return None if alone else base, others, taken, [each.id for each in new]

    def _forget_old_versions(self, newest: int) -> None:
        for version in versions(self.folder)[:-VERSIONS_KEPT]:
            if version != newest:
                for ending in ("json", "safetensors"):
                    (self.folder / "versions" / f"{version:04}.{ending}").unlink(missing_ok=True)


@contextmanager
def open_teacher(
    bundle: Path | Bundle,
    name: str = DEFAULT,
    *,
    backend: str | None = None,
    threads: int = 1,
    engine: Engine | None = None,
    quota_mb: float = QUOTA_MB,
    keep_photos: bool = True,
    check: bool = True,
) -> Iterator[Teacher]:
    """Teach a head of a bundle until the end of the block; nobody else may meanwhile.

    `engine` is one that is open already (of this `backend`), and stays so; otherwise one is opened when it is
    needed. Raises BundleError (another teacher, a head that the bundle was built with), EngineError.
    """
    opened = open_bundle(bundle) if isinstance(bundle, Path) else bundle
    if name in opened.manifest.heads:
        raise BundleError(
            f"The head {name!r} was built with {opened.path.name} and stays as it was measured.\n"
            f"Give the taught one another name: --head {DEFAULT}"
        )
    folder = folder_of(opened.path, name)
    own: list[Engine] = []

    def lent() -> Engine:
        if engine is not None:
            return engine
        if not own:
            own.append(opened.engine(backend, threads=threads, check=check))
        return own[0]

    with only_teacher(opened.path):
        try:
            store = open_store(folder, quota_mb)
            yield Teacher(opened, name, store, lent, engine_key(opened, backend), keep_photos)
        finally:
            for each in own:
                each.close()


def look(bundle: Bundle) -> list[dict[str, Any]]:
    """Every taught head of a bundle, for `--list`; needs no lock."""
    from edgecam_engines.taught.versions import taught_names

    found = []
    for name in taught_names(bundle.path):
        folder = folder_of(bundle.path, name)
        version = current(folder)
        assert version is not None
        taught, store = load_note(folder, version), open_store(folder)
        found.append(
            {
                "head": name,
                "version": version,
                "versions": versions(folder),
                "fits": taught.network == bundle.network,
                "photos": len(store.examples),
                "megabytes": round(store.used_bytes / 1e6, 2),
                "taught_at": taught.about.get("taught_at"),
                **{key: taught.about["figures"][key] for key in ("method", "accuracy", "unknown", "needs")},
                "classes": taught.about["figures"]["photos"],
                "unreadable": [str(path) for path in store.bad],
            }
        )
    return found
