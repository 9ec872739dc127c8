"""A bundle: a folder NAME.edgecam that explains itself, and is checked before anything in it is used."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypedDict

from edgecam_engines.backends import Model, open_engine
from edgecam_engines.engine import Engine
from edgecam_engines.errors import BundleDamaged, BundleError, BundleTooNew
from edgecam_engines.files import sha256_of, write_json
from edgecam_engines.geometry import GEOMETRY
from edgecam_engines.head import Head, load_head

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

    def model(self, backend: str | None = None, *, threads: int = 1) -> tuple[str, Model]:
        """The back end and model that `engine` would open. Another back end takes its own file with INT8."""
        shipped = self.manifest.engine
        chosen, file = backend or shipped["backend"], shipped["model"]
        if chosen != shipped["backend"] and shipped["precision"] in {"int8", "mixed"}:
            profile = f"{shipped['precision']}-{'tensorrt' if chosen == 'tensorrt' else 'cpu'}"
            file = self.manifest.models.get(profile, self.manifest.models["fp32"])
        precision = next((k.split("-")[0] for k, v in self.manifest.models.items() if v == file), "fp32")
        return chosen, Model(self.path / file, precision, self.path / "plans", threads)

    def engine(self, backend: str | None = None, *, threads: int = 1) -> Engine:
        """Open the shipped engine, or the same model on another back end. The caller closes it."""
        return open_engine(*self.model(backend, threads=threads))

    def head(self, name: str | None = None) -> Head:
        """Load a class head by name; without one, the bundle's default."""
        chosen = name or self.manifest.head
        if chosen not in self.manifest.heads:
            raise BundleError(
                f"{self.path.name} has no head {chosen!r}. It has: {', '.join(self.manifest.heads)}."
            )
        return load_head(self.path / self.manifest.heads[chosen])


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

    Raises BundleError (not there, or not a bundle), BundleTooNew, BundleDamaged.
    """
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
        if file.stat().st_size > _MANIFEST_LIMIT:
            raise ValueError(f"it is larger than {_MANIFEST_LIMIT} bytes")
        document = json.loads(file.read_text(encoding="utf-8"))
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
