import hashlib
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.loop_kit import CLASSES, colour_head, scene
from edgecam_engines.bundle import MANIFEST, SCHEMA, open_bundle
from edgecam_engines.errors import BackendUnavailable, BundleDamaged, BundleError, BundleTooNew
from edgecam_engines.geometry import fit
from edgecam_engines.head import Head, save_head

FILES = ("manifest.json", "heads/default.safetensors", "models/fixed.json")  # all of a fixed bundle


def rewrite(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and sign it again, as somebody would who means it."""
    document = json.loads((bundle / MANIFEST).read_text())
    change(document)
    document.pop("sha256")
    canonical = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    (bundle / MANIFEST).write_text(json.dumps({**document, "sha256": digest}))


def list_file(bundle: Path, name: str, content: bytes) -> None:
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    rewrite(bundle, lambda document: document["files"].update({name: entry}))


def test_what_was_written_is_what_is_opened(fixed_bundle: Path) -> None:
    bundle = open_bundle(fixed_bundle)
    assert bundle.input_hw == (64, 64)
    assert tuple(bundle.manifest.classes) == CLASSES
    assert bundle.manifest.schema == SCHEMA
    np.testing.assert_array_equal(bundle.head().weight, colour_head().weight)
    with closing(bundle.engine()) as engine:
        features = engine.infer(fit(scene(2), engine.input_hw)[None])
    assert bundle.head().logits(features).argmax() == 2


def test_the_fixture_has_no_file_that_the_next_test_forgets(fixed_bundle: Path) -> None:
    found = {p.relative_to(fixed_bundle).as_posix() for p in fixed_bundle.rglob("*") if p.is_file()}
    assert found == set(FILES)


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_anywhere_is_found_and_its_file_named(
    fixed_bundle: Path, name: str, where: float
) -> None:
    file = fixed_bundle / name
    content = bytearray(file.read_bytes())
    content[int(where * (len(content) - 2))] ^= 1  # the last byte of the manifest is a line end
    file.write_bytes(content)
    with pytest.raises(BundleDamaged, match=name.replace(".", r"\.")):
        open_bundle(fixed_bundle)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_named(fixed_bundle: Path, name: str) -> None:
    (fixed_bundle / name).unlink()
    with pytest.raises(BundleDamaged, match=f"lacks the file {name}"):
        open_bundle(fixed_bundle)


def test_a_file_cut_short_is_named(fixed_bundle: Path) -> None:
    file = fixed_bundle / "heads/default.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(BundleDamaged, match=r"default\.safetensors .* was changed"):
        open_bundle(fixed_bundle)


def test_a_later_schema_is_told_even_when_everything_else_is_unknown(fixed_bundle: Path) -> None:
    (fixed_bundle / MANIFEST).write_text(json.dumps({"schema": SCHEMA + 1, "shape": "round"}))
    with pytest.raises(BundleTooNew, match=rf"schema {SCHEMA + 1}.*\n.*\n    pip install --upgrade edgecam"):
        open_bundle(fixed_bundle)


def test_a_later_schema_names_the_version_that_wrote_it(fixed_bundle: Path) -> None:
    rewrite(fixed_bundle, lambda document: document.update(schema=SCHEMA + 1, edgecam="9.8.7"))
    with pytest.raises(BundleTooNew, match=r"edgecam 9\.8\.7"):
        open_bundle(fixed_bundle)


@pytest.mark.parametrize("name", ["../secret", "models/../../secret", "{absolute}"])
def test_a_listed_path_that_leads_out_is_refused_though_its_hash_is_right(
    fixed_bundle: Path, name: str
) -> None:
    secret = fixed_bundle.parent / "secret"
    secret.write_bytes(b"secret")
    list_file(fixed_bundle, name.format(absolute=secret), b"secret")
    with pytest.raises(BundleDamaged, match="leads out of the bundle"):
        open_bundle(fixed_bundle)


def test_a_link_is_refused_whether_it_is_the_file_or_its_folder(fixed_bundle: Path) -> None:
    outside = fixed_bundle.parent / "elsewhere"
    (fixed_bundle / "models").rename(outside)
    (fixed_bundle / "models").symlink_to(outside)
    with pytest.raises(BundleDamaged, match="leads out of the bundle"):
        open_bundle(fixed_bundle)
    (fixed_bundle / "models").unlink()
    (fixed_bundle / "models").mkdir()
    (fixed_bundle / "models" / "fixed.json").symlink_to(outside / "fixed.json")
    with pytest.raises(BundleDamaged, match="leads out of the bundle"):
        open_bundle(fixed_bundle)


def test_a_bundle_that_is_itself_reached_through_a_link_is_fine(fixed_bundle: Path) -> None:
    link = fixed_bundle.parent / "link.edgecam"
    link.symlink_to(fixed_bundle)
    assert open_bundle(link).manifest.head == "default"


@pytest.mark.parametrize(
    "point",
    [
        lambda d: d["heads"].update(default="../head.safetensors"),
        lambda d: d["models"].update(fp32="models/other.json"),
        lambda d: d["engine"].update(model="../fixed.json"),
    ],
    ids=["head", "model", "engine"],
)
def test_a_file_that_is_used_but_not_listed_is_refused_since_nothing_checked_it(
    fixed_bundle: Path, point: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(fixed_bundle, point)
    with pytest.raises(BundleDamaged, match="does not list"):
        open_bundle(fixed_bundle)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(files=[]),
        lambda d: d.update(files={"models/fixed.json": 5}),
        lambda d: d.update(files={"a\0b": {"sha256": "", "bytes": 0}}),
        lambda d: d.update(engine={}),
        lambda d: d.update(models=None),
        lambda d: d.update(extra=1),
        lambda d: d.pop("head"),
        lambda d: d.update(schema="one"),
    ],
    ids=["list", "number", "nul", "no model", "no models", "a key more", "a key less", "schema in words"],
)
def test_a_manifest_of_another_form_is_damaged_and_not_a_crash(
    fixed_bundle: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(fixed_bundle, change)
    with pytest.raises(BundleDamaged):
        open_bundle(fixed_bundle)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'"' + b"a" * 100,
        b"\xff\xfe",
        b'{"schema": "\xc3"}',
        b'{"schema": 1, "sha256": "\\ud800", "name": "\\ud800"}',
        b"[" * 1_000_000,
        b'{"a":' * 500_000,
        b"1" * 1_000_000,
        b" " * (64 << 20),
    ],
    ids=lambda content: f"{content[:8]!r} {len(content)}",
)
def test_a_manifest_that_is_no_manifest_is_refused_at_once(fixed_bundle: Path, content: bytes) -> None:
    (fixed_bundle / MANIFEST).write_bytes(content)
    began = time.process_time()
    with pytest.raises(BundleDamaged, match=r"manifest\.json cannot be trusted"):
        open_bundle(fixed_bundle)
    assert time.process_time() - began < 2


def test_plans_of_this_device_may_lie_there_unlisted(fixed_bundle: Path) -> None:
    (fixed_bundle / "plans" / "orin").mkdir(parents=True)
    (fixed_bundle / "plans" / "orin" / "int8.plan").write_bytes(b"a plan")
    assert open_bundle(fixed_bundle).manifest.name == "colours"


def test_another_geometry_is_refused_rather_than_misread(fixed_bundle: Path) -> None:
    rewrite(fixed_bundle, lambda d: d.update(geometry={"fit": "letterbox", "interpolation": "linear"}))
    with pytest.raises(BundleDamaged, match="letterbox"):
        open_bundle(fixed_bundle)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "has no manifest"),
        (lambda path: path.write_text("x"), "is a file"),
    ],
)
def test_what_is_no_bundle_says_how_one_is_made(
    tmp_path: Path, make: Callable[[Path], object], what: str
) -> None:
    path = tmp_path / "x.edgecam"
    make(path)
    with pytest.raises(BundleError, match=rf"{what}(.|\n)*edgecam build-engine RUN"):
        open_bundle(path)


def test_a_head_is_taken_by_name_and_an_unknown_one_is_answered_with_those_there_are(
    fixed_bundle: Path,
) -> None:
    path = fixed_bundle / "heads" / "night.safetensors"
    save_head(Head(np.ones((2, 3), np.float32), np.zeros(2, np.float32), ("dark", "light")), path)
    list_file(fixed_bundle, "heads/night.safetensors", path.read_bytes())
    rewrite(fixed_bundle, lambda d: d["heads"].update(night="heads/night.safetensors"))
    bundle = open_bundle(fixed_bundle)
    assert bundle.head("night").classes == ("dark", "light")
    assert bundle.head().classes == CLASSES
    with pytest.raises(BundleError, match=r"no head 'noon'. It has: default, night"):
        bundle.head("noon")


def test_an_unknown_back_end_is_answered_with_those_there_are(fixed_bundle: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"'abacus'. Choose one of: onnxruntime, .*, fixed"):
        open_bundle(fixed_bundle).engine("abacus")


@pytest.mark.parametrize(
    ("backend", "file"),
    [
        (None, "cpu"),
        ("onnxruntime", "cpu"),
        ("onnxruntime-openvino", "cpu"),
        ("onnxruntime-cuda", "trt"),
        ("onnxruntime-tensorrt", "trt"),
        ("tensorrt", "trt"),
    ],
)
def test_each_back_end_takes_its_own_int8_file(fixed_bundle: Path, backend: str | None, file: str) -> None:
    for name in ("cpu", "trt"):
        (fixed_bundle / name).write_bytes(name.encode())
        list_file(fixed_bundle, name, name.encode())
    engine = {"backend": "onnxruntime", "precision": "int8", "model": "cpu"}
    models = {"fp32": "models/fixed.json", "int8-cpu": "cpu", "int8-tensorrt": "trt"}
    rewrite(fixed_bundle, lambda d: d.update(engine=engine, models=models))
    chosen, model = open_bundle(fixed_bundle).model(backend)
    assert chosen == (backend or "onnxruntime")
    assert (model.path.name, model.precision) == (file, "int8")


def test_a_bundle_is_current_until_its_manifest_is_another_one_or_gone(fixed_bundle: Path) -> None:
    bundle = open_bundle(fixed_bundle)
    assert bundle.is_current()
    rewrite(bundle.path, lambda document: document.update(created="2027-01-01T00:00:00Z"))
    assert not bundle.is_current()
    assert open_bundle(fixed_bundle).is_current()
    (fixed_bundle / MANIFEST).unlink()
    assert not bundle.is_current()
