"""Heads that were taught beside the bundle's own: found by name, changed in one step."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge.loop_kit import CLASSES, make_bundle, scene
from edgecam.recognise import recognise
from edgecam.result import UNKNOWN
from edgecam.sources.source import Shot
from edgecam_engines.bundle import open_bundle
from edgecam_engines.errors import BundleDamaged, BundleError, EngineError, OutputError
from edgecam_engines.export.graph import append_head
from edgecam_engines.fixed import FixedEngine
from edgecam_engines.head import Head, load_head, save_head
from edgecam_engines.swap import replace_folder
from edgecam_engines.taught import versions as taught
from edgecam_engines.taught.lock import only_teacher
from edgecam_engines.taught.remembered import Remembered
from edgecam_engines.taught.unknown import Rejection


def head(shift: float = 0.0, names: tuple[str, ...] = ("cup", "mug")) -> Head:
    return Head(
        np.eye(len(names), 3, dtype=np.float32) + np.float32(shift), np.zeros(len(names), np.float32), names
    )


def teach(bundle: Path, shift: float = 0.0, name: str = "things") -> taught.Taught:
    network = open_bundle(bundle).network
    return taught.save_version(
        taught.folder_of(bundle, name), head(shift), network=network, about={"n": shift}
    )


def test_a_taught_head_is_one_of_the_bundles_heads_and_the_bundle_stays_whole(fixed_bundle: Path) -> None:
    assert open_bundle(fixed_bundle).heads == ["default"]
    teach(fixed_bundle, 0.5)
    opened = open_bundle(fixed_bundle)
    assert opened.heads == ["default", "things"]
    assert opened.head("things").classes == ("cup", "mug")
    assert opened.head().classes == CLASSES


def test_a_head_that_there_is_not_is_refused_with_those_there_are(fixed_bundle: Path) -> None:
    teach(fixed_bundle)
    with pytest.raises(BundleError, match="default, things"):
        open_bundle(fixed_bundle).head("other")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".x", "x" * 65, "a b"])
def test_what_leads_out_of_the_folder_is_no_name(fixed_bundle: Path, name: str) -> None:
    with pytest.raises(BundleError):
        taught.folder_of(fixed_bundle, name)
    if name:
        with pytest.raises(BundleError):
            open_bundle(fixed_bundle).head(name)


def test_versions_count_up_and_know_the_one_before(fixed_bundle: Path) -> None:
    folder = taught.folder_of(fixed_bundle, "things")
    first, second = teach(fixed_bundle, 1), teach(fixed_bundle, 2)
    assert (first.version, first.parent, second.version, second.parent) == (1, None, 2, 1)
    taught.use_version(folder, 1)
    assert taught.load_version(folder, 1).about == {"n": 1}
    third = teach(fixed_bundle, 3)
    assert (third.version, third.parent) == (3, 1)
    taught.use_version(folder, None)
    assert open_bundle(fixed_bundle).heads == ["default"]


def test_a_running_loop_is_told_once_of_every_change(fixed_bundle: Path) -> None:
    teach(fixed_bundle, 1)
    watch = open_bundle(fixed_bundle).watch("things")
    assert watch.changed() is None
    teach(fixed_bundle, 2)
    found = watch.changed()
    assert found is not None
    assert found.weight[0, 0] == 3
    assert watch.changed() is None


def test_a_head_of_another_network_is_refused_with_what_to_type(fixed_bundle: Path) -> None:
    folder = taught.folder_of(fixed_bundle, "things")
    taught.save_version(folder, head(), network="0" * 64, about={})
    with pytest.raises(BundleError, match=r"edgecam teach .* --head things"):
        open_bundle(fixed_bundle).head("things")


@pytest.mark.parametrize("file", ["versions/0001.safetensors", "versions/0001.json", "current.json"])
def test_a_changed_byte_is_found(fixed_bundle: Path, file: str) -> None:
    teach(fixed_bundle)
    path = taught.folder_of(fixed_bundle, "things") / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(bytes(content))
    with pytest.raises(BundleDamaged, match=r"--undo|class head|cannot be read"):
        open_bundle(fixed_bundle).head("things")


@pytest.mark.parametrize("told", ["[]", "{}", '{"version": "x"}', '{"version": null}', "[" * 100_000])
def test_odd_notes_are_refused_not_believed(fixed_bundle: Path, told: str) -> None:
    teach(fixed_bundle)
    (taught.folder_of(fixed_bundle, "things") / "current.json").write_text(told)
    with pytest.raises(BundleDamaged):
        open_bundle(fixed_bundle).head("things")


def test_two_teachers_at_once_are_one_too_many(fixed_bundle: Path) -> None:
    with only_teacher(fixed_bundle):
        with (
            pytest.raises(BundleError, match="is being taught by another program"),
            only_teacher(fixed_bundle),
        ):
            pass
        with only_teacher(make_bundle(fixed_bundle.parent / "other.edgecam")):
            pass
    with only_teacher(fixed_bundle):
        pass


def test_a_bundle_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    file = tmp_path / "x.edgecam"
    file.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="Copy the bundle"), only_teacher(file):
        pass


def test_a_bundle_built_anew_keeps_what_was_taught(fixed_bundle: Path, tmp_path: Path) -> None:
    teach(fixed_bundle)
    new = make_bundle(tmp_path / "new.edgecam", stride=16)
    assert taught.carry_taught(fixed_bundle, new) == ["things"]
    replace_folder(new, fixed_bundle)
    opened = open_bundle(fixed_bundle)
    assert opened.heads == ["default", "things"]
    with pytest.raises(BundleError, match="built anew"):
        opened.head("things")
    assert taught.carry_taught(make_bundle(tmp_path / "plain.edgecam"), tmp_path) == []


# -- what a head's file may hold besides


def whole_head() -> Head:
    rng = np.random.default_rng(0)
    parts = (rng.normal(size=(3, 3)), rng.normal(size=3), rng.uniform(0.1, 1, 2))
    corners = (np.asarray(part, np.float32) for part in parts)
    kept = Remembered(*(rng.normal(size=s).astype(np.float32) for s in (3, (4, 3), (4, 2), 1, 1, 1)))
    plain = head()
    return Head(
        plain.weight,
        plain.bias,
        plain.classes,
        2.0,
        Rejection(-0.3, *corners),
        kept,
    )


def test_a_head_with_everything_is_read_back_as_it_was(tmp_path: Path) -> None:
    before = whole_head()
    save_head(before, tmp_path / "h.safetensors")
    after = load_head(tmp_path / "h.safetensors")
    seen = np.random.default_rng(1).normal(size=(6, 3, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(before.logits(seen), after.logits(seen))
    np.testing.assert_array_equal(
        before.known(seen, before.logits(seen)), after.known(seen, after.logits(seen))
    )
    assert after.unknown is not None
    assert after.unknown.threshold == -0.3
    assert not after.exact_maps


def test_a_head_without_them_is_written_as_ever(tmp_path: Path) -> None:
    save_head(head(), tmp_path / "h.safetensors")
    content = (tmp_path / "h.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert set(header) == {"__metadata__", "weight", "bias"}
    assert set(header["__metadata__"]) == {"classes", "temperature"}
    assert load_head(tmp_path / "h.safetensors").unknown is None


def test_a_way_to_reject_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save

    plain = head()
    about = {"classes": '["a", "b"]', "temperature": "1.0", "unknown": "tarot", "unknown_threshold": "0.5"}
    (tmp_path / "h.safetensors").write_bytes(
        save({"weight": plain.weight, "bias": plain.bias}, metadata=about)
    )
    with pytest.raises(BundleDamaged, match="tarot"):
        load_head(tmp_path / "h.safetensors")


@pytest.mark.parametrize("kind", ["energy", "distance"])
def test_a_head_of_an_earlier_edgecam_is_refused_with_what_to_type_and_its_note_is_read(
    fixed_bundle: Path, kind: str
) -> None:
    from safetensors.numpy import save

    teach(fixed_bundle, 1)
    folder, plain = taught.folder_of(fixed_bundle, "things"), head()
    names = {"classes": '["a", "b"]', "temperature": "1.0", "unknown": kind, "unknown_threshold": "0.5"}
    file = folder / "versions" / "0001.safetensors"
    file.write_bytes(save({"weight": plain.weight, "bias": plain.bias}, metadata=names))
    with pytest.raises(BundleError, match=f"(?s)told unknown things by {kind}.*edgecam teach BUNDLE --head"):
        load_head(file)
    assert taught.load_note(folder, 1).about == {"n": 1}


@pytest.mark.parametrize(
    "parts",
    [
        ((2, 3), (3,), (2,)),
        ((2, 4), (2,), (2,)),
        ((4, 3), (4,), (2,)),
        ((2, 3), (2,), (3,)),
    ],
)
def test_corners_that_do_not_fit_the_head_are_refused(parts: tuple[tuple[int, ...], ...]) -> None:
    plain = head()
    with pytest.raises(ValueError, match=r"do not fit|other classes"):
        Head(
            plain.weight,
            plain.bias,
            plain.classes,
            unknown=Rejection(0, *(np.ones(p, np.float32) for p in parts)),
        )


def test_what_the_head_rejects_is_unknown_in_the_loop_however_sure_the_softmax_is() -> None:
    plain = Head(np.eye(3, dtype=np.float32) * 60, np.zeros(3, np.float32), CLASSES)
    shot = Shot(scene(0), number=0, captured=0.0, captured_at=0.0)
    assert recognise(shot, FixedEngine(), plain, 0.5).label == CLASSES[0]
    corners = (np.zeros((3, 3), np.float32), np.zeros(3, np.float32), np.ones(3, np.float32))
    strict = Head(plain.weight, plain.bias, plain.classes, unknown=Rejection(0.0, *corners))
    result = recognise(shot, FixedEngine(), strict, 0.5)
    assert result.label == UNKNOWN
    assert result.confidence > 0.9
    assert result.box is None
    assert result.top[0].label == CLASSES[0]


def test_a_head_that_remembers_cannot_be_put_into_a_graph() -> None:
    with pytest.raises(EngineError, match="--method auto"):
        append_head(None, whole_head(), probabilities=False)
