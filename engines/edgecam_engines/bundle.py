"""A bundle: a folder NAME.edgecam that explains itself, and is checked before anything in it is used."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypedDict

from edgecam_engines.backends import ROUNDED, Model, model_for, open_engine
from edgecam_engines.engine import Engine
from edgecam_engines.errors import BundleDamaged, BundleError, BundleTooNew
from edgecam_engines.files import read_limited, sha256_of, write_json
from edgecam_engines.geometry import GEOMETRY
from edgecam_engines.golden import ANSWERS, Golden, load_golden
from edgecam_engines.head import Head, load_head
from edgecam_engines.manifest_form import check_form
from edgecam_engines.swap import recover
from edgecam_engines.taught.versions import HeadWatch, load_taught, taught_names

SCHEMA: Final = 1
MANIFEST: Final = "manifest.json"
_MANIFEST_LIMIT: Final = 4 << 20  # bytes; ours have a few thousand


class FileEntry(TypedDict):
    sha256: str
    bytes: int


class EngineEntry(TypedDict):
    """Which engine this bundle ships."""

    backend: str
    precision: str
    model: str  # the file, relative to the bundle


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself. Paths are relative to the bundle, with forward slashes."""

    name: str
    created: str  # UTC, ISO 8601
    edgecam: str  # version that wrote it
    classes: list[str]
    input_hw: list[int]  # pixels
    feature_dhw: list[int]  # channels, and cells down and across
    geometry: dict[str, str]
    engine: EngineEntry
    models: dict[str, str]  # "fp32", "fp16", "int8-cpu", "int8-tensorrt", "mixed-..." -> file
    heads: dict[str, str]  # name -> file
    head: str  # the one used unless asked otherwise
    gate: dict[str, Any]  # verdict in short; gate.json has it whole
    calibration: dict[str, Any]  # set hash, number of photos, method
    provenance: dict[str, str]  # versions and machine that built it
    files: dict[str, FileEntry]
    schema: int = SCHEMA


@dataclass(frozen=True)
class Bundle:
    """An opened, checked bundle."""

    path: Path
    manifest: Manifest

    @property
    def input_hw(self) -> tuple[int, int]:
        h, w = self.manifest.input_hw
        return h, w

    @property
    def digests(self) -> dict[Path, str]:
        """The SHA-256 of each file, so that what is parsed later is what was checked when this was opened."""
        return {self.path / name: entry["sha256"] for name, entry in self.manifest.files.items()}

    def model(self, backend: str | None = None, *, threads: int = 1) -> tuple[str, Model]:
        """The back end and model that `engine` would open. Another back end takes its own file with INT8."""
        shipped = self.manifest.engine
        chosen, file = backend or shipped["backend"], shipped["model"]
        if chosen != shipped["backend"] and shipped["precision"] in ROUNDED:
            name = model_for(shipped["precision"], chosen)
            file = self.manifest.models.get(name, self.manifest.models["fp32"])
        precision = next((k.split("-")[0] for k, v in self.manifest.models.items() if v == file), "fp32")
        return chosen, Model(self.path / file, precision, self.path / "plans", threads, self.digests)

    def engine(self, backend: str | None = None, *, threads: int = 1, check: bool = True) -> Engine:
        """Open the shipped engine, or the same model on another back end. The caller closes it.

        On a device where it never ran it answers the bundle's golden photos first, unless `check` is False.
        Raises WrongAnswers when it says something else than where it was measured, and EngineError.
        """
        chosen, model = self.model(backend, threads=threads)
        engine = open_engine(chosen, model)
        if check and ANSWERS in self.manifest.files:
            try:
                self._check(engine, chosen, model)
            except BaseException:
                engine.close()
                raise
        return engine

    def _check(self, engine: Engine, backend: str, model: Model) -> None:
        from edgecam_engines.checked import Subject, check_once, device_of

        device = device_of(backend, model)
        if device is None:
            return
        file, files = model.path.relative_to(self.path).as_posix(), self.manifest.files
        subject = Subject(
            backend,
            model,
            file,
            fp32=self.manifest.models["fp32"],
            sha256=files[file]["sha256"],
            answers_sha256=files[ANSWERS]["sha256"],
        )
        bound = self.manifest.gate.get("bounds", {}).get("min_cam_iou", 0.0)
        check_once(engine, subject, device, self._golden, min_cam_iou=bound)

    def _golden(self) -> tuple[Golden, Head]:
        golden = load_golden(self.path, self.input_hw)
        return golden, self.head(golden.head)

    def is_current(self) -> bool:
        """Whether the bundle lists what it listed when it was opened. Reads nothing but its manifest."""
        try:
            return _read_manifest(self.path) == self.manifest
        except BundleError:
            return False

    @property
    def network(self) -> str:
        """SHA-256 of the FP32 graph: heads that were taught are for this network, in any precision."""
        return self.manifest.files[self.manifest.models["fp32"]]["sha256"]

    @property
    def heads(self) -> list[str]:
        """Names for `head`: those it was built with, then those that were taught."""
        own = list(self.manifest.heads)
        return own + [name for name in taught_names(self.path) if name not in own]

    def watch(self, name: str) -> HeadWatch:
        """What tells a running loop that a taught head was changed. Raises BundleError."""
        return HeadWatch(self.path, name, self.network)

    def head(self, name: str | None = None) -> Head:
        """Load a class head by name, taught ones too; without one, the bundle's default."""
        chosen = name or self.manifest.head
        head = self._own(chosen) if chosen in self.manifest.heads else self._taught(chosen)
        if head.weight.shape[1] != self.manifest.feature_dhw[0]:
            raise BundleDamaged(
                f"The head {chosen!r} of {self.path.name} reads {head.weight.shape[1]} features; its engine "
                f"gives {self.manifest.feature_dhw[0]}.\n{_MEND}"
            )
        return head

    def _own(self, name: str) -> Head:
        file = self.path / self.manifest.heads[name]
        return load_head(file, self.digests[file])

    def _taught(self, name: str) -> Head:
        found = load_taught(self.path, name, self.network) if name in self.heads else None
        if found is None:
            raise BundleError(f"{self.path.name} has no head {name!r}. It has: {', '.join(self.heads)}.")
        return found.head


def write_manifest(folder: Path, about: Mapping[str, Any]) -> Manifest:
    """Hash every file of a finished folder and write its manifest last."""
    listed = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    files = {
        p.relative_to(folder).as_posix(): FileEntry(sha256=sha256_of(p), bytes=p.stat().st_size)
        for p in listed
        if p.relative_to(folder).parts[0] != "plans"
    }
    manifest = Manifest(**about, geometry=dict(GEOMETRY), files=files)
    document = asdict(manifest)
    write_json(folder / MANIFEST, {**document, "sha256": _digest(document)})
    return manifest


def open_bundle(path: Path) -> Bundle:
    """Open a bundle after checking its schema, its manifest and the hash of every file it lists.

    One that a killed `build-engine` had put aside is put back first.
    Raises BundleError (not there, or not a bundle), BundleTooNew, BundleDamaged.
    """
    recover(path)
    before = _identity(path)
    try:
        return _open(path)
    except BundleDamaged:
        if _identity(path) == before:
            raise
        return _open(path)  # it was replaced while it was read


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def _open(path: Path) -> Bundle:
    if not path.is_dir() or not (path / MANIFEST).is_file():
        what = "is not a bundle: it has no manifest.json" if path.is_dir() else "does not exist"
        what = "is a file; a bundle is a folder" if path.is_file() else what
        raise BundleError(
            f"{path} {what}.\nA bundle is the folder that this makes:\n"
            f"    edgecam build-engine RUN --out NAME.edgecam"
        )
    manifest = _read_manifest(path)
    try:
        for name, entry in manifest.files.items():
            _check_file(path, name, entry)
        used = [manifest.engine["model"], *manifest.models.values(), *manifest.heads.values()]
        if unlisted := [name for name in used if name not in manifest.files]:
            raise BundleDamaged(f"{path.name} uses {unlisted[0]!r}, which it does not list.\n{_MEND}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleDamaged(f"{path.name} cannot be checked: {error}.\n{_MEND}") from error
    return Bundle(path, manifest)


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    try:
        document = json.loads(read_limited(file, _MANIFEST_LIMIT).decode())
        schema = document["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise BundleTooNew(
                f"{path.name} has schema {schema}; this edgecam reads up to {SCHEMA}.\n"
                f"It was written by edgecam {document.get('edgecam', 'of a later version')}. Update with:\n"
                f"    pip install --upgrade edgecam"
            )
        if schema != SCHEMA:
            raise ValueError(f"its schema is {schema!r}")
        stated = document.pop("sha256")
        if stated != _digest(document):
            raise ValueError("its own SHA-256 does not match")
        names = {field.name for field in fields(Manifest)}
        if set(document) != names:
            raise ValueError(f"its keys differ: {sorted(set(document) ^ names)}")
        check_form(document)
        manifest = Manifest(**document)
        if manifest.geometry != GEOMETRY:
            raise ValueError(f"its geometry {manifest.geometry} is not this edgecam's {GEOMETRY}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleDamaged(f"{file} cannot be trusted: {error}.\n{_MEND}") from error
    return manifest


def _check_file(bundle: Path, name: str, entry: FileEntry) -> None:
    pure, file = PurePosixPath(name), bundle / name
    # Resolved, so that a link among its folders counts as one too.
    if pure.is_absolute() or ".." in pure.parts or file.resolve() != bundle.resolve() / name:
        raise BundleDamaged(f"{bundle.name} lists {name!r}, which leads out of the bundle.\n{_MEND}")
    if not file.is_file():
        raise BundleDamaged(f"{bundle.name} lacks the file {name}.\n{_MEND}")
    if file.stat().st_size != entry["bytes"] or sha256_of(file) != entry["sha256"]:
        raise BundleDamaged(f"{name} in {bundle.name} was changed since the bundle was built.\n{_MEND}")


def _digest(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


_MEND: Final = "Copy it again from where it was built, or build it again with `edgecam build-engine`."
