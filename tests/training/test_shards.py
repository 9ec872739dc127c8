"""Shards: what folders give, shards give too, to the last bit; and WebDataset reads and writes them alike."""

import gc
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from edgecam_calibration.run import _listed
from edgecam_engines.errors import DataError
from edgecam_engines.geometry import fit
from edgecam_engines.photo import read_photo
from edgecam_training.batches import near
from edgecam_training.data import Split, find_photos
from edgecam_training.items import read_item
from edgecam_training.options import Options
from edgecam_training.pack import pack
from edgecam_training.shards import ShardPhotos, index_shard, shard_files, shard_numbers
from edgecam_training.train import train
from training.photo_kit import COLOURS, make_photos, picture, save

OPTIONS = Options(
    input_height=64,
    input_width=64,
    backbone="mobilenet_v3_small",
    pretrained=False,
    dim=64,
    epochs=1,
    batch=8,
    head_epochs=0,
)


def find(data: Path, val: Path | None = None) -> Split:
    return find_photos(data, val=val, val_share=0.25, min_photos=2, seed=0)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def jpeg(colour: str, number: int) -> bytes:
    return bytes(cv2.imencode(".jpg", picture(colour, number))[1])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos", count=9)


def test_shards_give_the_photos_labels_and_split_of_the_folder(photos: Path, tmp_path: Path) -> None:
    packed = pack(photos, tmp_path / "shards", per_shard=10, seed=3)
    assert (packed.photos, [path.name for path in packed.shards]) == (
        27,
        ["000000.tar", "000001.tar", "000002.tar"],
    )
    folder, shards = find(photos), find(tmp_path / "shards")
    assert shards.classes == folder.classes
    for ours, theirs in ((shards.train, folder.train), (shards.val, folder.val)):
        assert [(item.label, item.digest) for item in ours] == [(item.label, item.digest) for item in theirs]
        for mine, plain in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(read_item(mine), read_item(plain))


def test_a_shard_holds_a_bit_of_every_class_and_packs_to_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    one = pack(photos, tmp_path / "one", per_shard=14, seed=0).shards
    again = pack(photos, tmp_path / "again", per_shard=14, seed=0).shards
    other = pack(photos, tmp_path / "other", per_shard=14, seed=1).shards
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in again]
    assert one[0].read_bytes() != other[0].read_bytes()
    assert len({entry.what for entry in index_shard(one[0]).entries}) == 3


def test_a_run_on_shards_is_the_run_on_the_folder_to_the_last_bit(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecam_training.finish.finish", lambda *_: None)
    pack(photos, tmp_path / "shards", per_shard=10, seed=0)
    weights = []
    for data in (photos, tmp_path / "shards"):
        train(data, tmp_path / f"run-{data.name}", OPTIONS)
        state = torch.load(tmp_path / f"run-{data.name}" / "checkpoint.pt", weights_only=True)
        weights.append(state["model"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    # What building an engine needs lies in the run as files.
    split = json.loads((tmp_path / "run-shards" / "split.json").read_text())
    for part in ("train", "val"):
        for listed, entry in zip(_listed(split[part]), split[part], strict=True):
            assert listed.path.parent.name == split["classes"][entry["label"]]
            assert read_photo(listed.path).shape == (64, 64, 3)
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_a_set_with_train_and_val_is_packed_and_found_in_parts(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos" / "train", count=5)
    make_photos(tmp_path / "photos" / "val", count=2, first=70)
    pack(tmp_path / "photos", tmp_path / "shards", per_shard=4, seed=0)
    whole = find(tmp_path / "shards")
    assert (len(whole.train), len(whole.val)) == (15, 6)
    named = find(tmp_path / "shards" / "train" / "{000000..000003}.tar", tmp_path / "shards" / "val")
    assert named.train == whole.train
    assert named.val == whole.val
    mixed = find(tmp_path / "shards" / "train", tmp_path / "photos" / "val")  # shards beside a folder
    assert [item.digest for item in mixed.val] == [item.digest for item in whole.val]


def test_bad_samples_are_named_by_shard_and_key_and_left_out(tmp_path: Path) -> None:
    shard = tmp_path / "shards" / "000000.tar"
    shard.parent.mkdir()
    with tarfile.open(shard, "w") as tar:
        for number, colour in enumerate(COLOURS):
            for copy in range(3):
                add(tar, f"a/{colour}{copy}.jpg", jpeg(colour, copy))
                add(tar, f"a/{colour}{copy}.cls", str(number).encode())
        add(tar, "empty.jpg", b"")
        add(tar, "empty.cls", b"0")
        add(tar, "cut.jpg", jpeg("red", 9)[:200])
        add(tar, "cut.cls", b"0")
        add(tar, "[b]nothing.jpg", jpeg("red", 10))
        add(tar, "far.jpg", jpeg("red", 11))
        add(tar, "far.cls", b"17")
        add(tar, "blind.cls", b"1")
    (shard.parent / "classes.txt").write_text("blue\ngreen\nred\n")
    split = find(shard.parent)
    assert len(split.train) + len(split.val) == 9
    reasons = {str(problem.path.relative_to(shard.parent)): problem.reason for problem in split.problems}
    assert reasons.keys() == {
        f"000000.tar/{name}" for name in ("empty.jpg", "cut.jpg", "[b]nothing.jpg", "far.jpg", "blind")
    }
    assert "0 bytes" in reasons["000000.tar/empty.jpg"]
    assert "no class" in reasons["000000.tar/[b]nothing.jpg"]
    assert "there is no class 17" in reasons["000000.tar/far.jpg"]


def test_a_shard_that_is_cut_off_gives_what_is_whole_and_is_named(photos: Path, tmp_path: Path) -> None:
    (shard,) = pack(photos, tmp_path / "shards", per_shard=100, seed=0).shards
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2 + 700])
    index = index_shard(shard)
    assert 5 < len(index.entries) < 20
    assert index.problems
    compressed = tmp_path / "b" / "0.tar"
    compressed.parent.mkdir()
    with tarfile.open(compressed, "w:gz") as tar:
        add(tar, "a.jpg", jpeg("red", 1))
    assert "damaged or compressed" in index_shard(compressed).problems[0][1]


@pytest.mark.parametrize("what", [b"{}", b"[]", b"not json", b'{"label": "x"}'])
def test_a_json_that_tells_no_class_is_a_bad_sample(tmp_path: Path, what: bytes) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        add(tar, "a.jpg", jpeg("red", 1))
        add(tar, "a.json", what)
    index = index_shard(tmp_path / "0.tar")
    assert index.entries == []
    assert "no class" in index.problems[0][1]


def test_names_of_classes_come_from_json_or_from_a_file_and_numbers_alone_are_not_enough(
    tmp_path: Path,
) -> None:
    def shard(folder: str, member: str, content: Any) -> Path:
        (tmp_path / folder).mkdir()
        with tarfile.open(tmp_path / folder / "0.tar", "w") as tar:
            for number, colour in enumerate(COLOURS):
                for copy in range(4):
                    add(tar, f"{colour}{copy}.jpg", jpeg(colour, copy))
                    add(tar, f"{colour}{copy}.{member}", content(number, colour))
        return tmp_path / folder

    named = find(shard("named", "json", lambda _, colour: json.dumps({"class": colour}).encode()))
    assert named.classes == tuple(sorted(COLOURS))
    numbers = shard("numbers", "cls", lambda number, _: str(number).encode())
    with pytest.raises(DataError, match=r"Write the names of the classes.*classes.txt"):
        find(numbers)
    (numbers / "classes.txt").write_text("un\ndeux\ntrois\n")
    assert find(numbers).classes == ("un", "deux", "trois")


def test_a_shard_that_is_missing_is_named(tmp_path: Path, photos: Path) -> None:
    pack(photos, tmp_path / "s", per_shard=10, seed=0)
    with pytest.raises(DataError, match=r"000003.tar is not there; of the 5 shards .*, 2 are missing"):
        find(tmp_path / "s" / "{000000..000004}.tar")
    assert [path.name for path in shard_files(tmp_path / "s" / "{000001..000002}.tar")] == [
        "000001.tar",
        "000002.tar",
    ]
    with pytest.raises(DataError, match="already holds shards"):
        pack(photos, tmp_path / "s", per_shard=10, seed=0)


def test_a_shard_is_checked_once_and_again_when_it_changes(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def watched(file: Path) -> Any:
        checked.append(file.name)
        return index_shard(file)

    monkeypatch.setattr("edgecam_training.shards.index_shard", watched)
    shards = pack(photos, tmp_path / "s", per_shard=10, seed=0).shards
    first = find(tmp_path / "s")
    assert sorted(checked) == [shard.name for shard in shards]
    assert find(tmp_path / "s") == first
    assert len(checked) == 3
    shards[1].write_bytes(shards[1].read_bytes() + bytes(512))
    assert find(tmp_path / "s").train == first.train
    assert checked[3:] == ["000001.tar"]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # WebDataset leaves them to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_what_is_packed(tmp_path: Path, photos: Path) -> None:
    wds = pytest.importorskip("webdataset")
    packed = pack(photos, tmp_path / "s", per_shard=10, seed=0)
    samples = list(wds.WebDataset([str(path) for path in packed.shards], shardshuffle=False))
    assert len(samples) == len({sample["__key__"] for sample in samples}) == 27
    classes = (tmp_path / "s" / "classes.txt").read_text().split()
    gc.collect()  # while the warnings are still expected
    for sample in samples:
        about = json.loads(sample["json"])
        assert classes[int(sample["cls"])] == about["class"]
        assert sample["png"] == (photos / about["class"] / about["file"]).read_bytes()


def test_what_webdataset_writes_is_read(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    with wds.ShardWriter(str(tmp_path / "%06d.tar"), maxcount=5, verbose=0) as writer:
        for number, colour in enumerate(COLOURS):
            for copy in range(4):
                writer.write({"__key__": f"{colour}/{copy:03}", "jpg": jpeg(colour, copy), "cls": number})
    (tmp_path / "classes.txt").write_text("\n".join(COLOURS))
    split = find(tmp_path)
    assert Counter(item.label for item in split.train + split.val) == {0: 4, 1: 4, 2: 4}
    assert split.problems == []
    names = {item.path.parent.name for item in split.train}
    assert names == set(COLOURS)


def test_photos_from_shards_are_stretched_as_those_from_folders(tmp_path: Path) -> None:
    for colour in COLOURS:
        for number in range(3):
            save(tmp_path / "p" / colour / f"{number}.jpg", picture(colour, number, (50, 90)))
    pack(tmp_path / "p", tmp_path / "s", per_shard=4, seed=0)
    split = find(tmp_path / "s")
    photos = ShardPhotos(split.train, (96, 64))
    assert len(photos) == len(split.train)
    for index, item in enumerate(split.train):
        np.testing.assert_array_equal(photos[index], fit(read_item(item), (96, 64)))
    numbers = shard_numbers(split.train)
    assert numbers is not None
    assert len(numbers) == len(split.train)
    assert shard_numbers(find(tmp_path / "p").train) is None


@pytest.mark.parametrize("seed", range(5))
def test_photos_are_read_from_few_shards_at_a_time_and_each_comes_as_often_as_before(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shards = np.repeat(np.arange(20), 30)[rng.permutation(600)]
    order = near(shards, rng, together=4)
    assert sorted(order) == list(range(600))
    for window in shards[order].reshape(-1, 4 * 30):
        assert len(set(window)) == 4
    assert not np.array_equal(order, near(shards, rng, together=4))  # the next epoch draws others
    np.testing.assert_array_equal(near(shards, rng, together=20), np.arange(600))


def test_a_run_that_is_stopped_goes_on_with_shards_at_any_step(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen at the batches: those of an epoch taken up at step 2 are those it would have had."""
    from edgecam_training.batches import epoch_batches

    pack(photos, tmp_path / "s", per_shard=2, seed=0)
    split = find(tmp_path / "s")
    labels = np.array([item.label for item in split.train])

    def batches(first_step: int, threads: int) -> list[Any]:
        return list(
            epoch_batches(
                ShardPhotos(split.train, (48, 48)),
                labels,
                hw=(32, 32),
                batch=5,
                min_crop=0.5,
                seed=(1, 2),
                first_step=first_step,
                shards=shard_numbers(split.train),
                threads=threads,
            )
        )

    whole = batches(0, 3)
    for ours, theirs in zip(batches(2, 1), whole[2:], strict=True):
        assert torch.equal(ours.frames, theirs.frames)
        assert torch.equal(ours.labels, theirs.labels)
