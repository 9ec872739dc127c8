"""Batches: uint8, of the size asked for, and the same ones whenever the same place is asked for."""

import numpy as np
import pytest
import torch

from edgecam_training.augment import augment, change_colours, random_crop
from edgecam_training.batches import Batch, epoch_batches, epoch_order, steps_per_epoch

PHOTOS = np.random.default_rng(0).integers(0, 256, size=(11, 60, 90, 3), dtype=np.uint8)
LABELS = np.arange(11, dtype=np.int64)  # each photo has its own number, so a batch says who is in it


def batches(*, seed: tuple[int, int] = (5, 0), first_step: int = 0, batch: int = 4) -> list[Batch]:
    return list(
        epoch_batches(
            PHOTOS, LABELS, hw=(32, 48), batch=batch, min_crop=0.35, seed=seed, first_step=first_step
        )
    )


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x.frames, y.frames) and torch.equal(x.labels, y.labels) for x, y in zip(a, b, strict=True)
    )


def test_a_batch_is_uint8_frames_of_the_asked_size_with_their_labels() -> None:
    for batch in batches():
        assert batch.frames.dtype == torch.uint8
        assert batch.frames.shape[1:] == (32, 48, 3)
        assert batch.labels.dtype == torch.int64
        assert len(batch.labels) == len(batch.frames)


def test_an_epoch_shows_every_photo_once() -> None:
    shown = torch.cat([batch.labels for batch in batches()])
    assert sorted(shown.tolist()) == list(range(11))


def test_an_epoch_repeats_with_its_seed_and_differs_from_the_next() -> None:
    assert same(batches(seed=(5, 0)), batches(seed=(5, 0)))
    assert not same(batches(seed=(5, 0)), batches(seed=(5, 1)))
    assert not same(batches(seed=(5, 0)), batches(seed=(6, 0)))


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_an_epoch_taken_up_at_any_step_gives_the_same_batches(step: int) -> None:
    assert same(batches(first_step=step), batches()[step:])


def test_what_happens_to_a_photo_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    by_photo = {}
    for size in (4, 3):
        for batch in batches(batch=size):
            for frame, label in zip(batch.frames, batch.labels.tolist(), strict=True):
                by_photo.setdefault(label, []).append(frame)
    twice = [frames for frames in by_photo.values() if len(frames) == 2]
    assert len(twice) >= 10
    assert all(torch.equal(*frames) for frames in twice)


@pytest.mark.parametrize(
    ("photos", "batch", "steps"), [(8, 4, 2), (9, 4, 2), (10, 4, 3), (2, 4, 1), (1, 4, 0)]
)
def test_a_last_batch_of_one_photo_is_dropped(photos: int, batch: int, steps: int) -> None:
    assert steps_per_epoch(photos, batch) == steps
    found = list(
        epoch_batches(PHOTOS[:photos], LABELS[:photos], hw=(32, 32), batch=batch, min_crop=0.5, seed=(0, 0))
    )
    assert len(found) == steps
    assert all(len(one.labels) >= 2 for one in found)


def test_an_abandoned_epoch_leaves_no_thread_waiting() -> None:
    import threading

    before = threading.active_count()
    epoch = epoch_batches(PHOTOS, LABELS, hw=(32, 32), batch=2, min_crop=0.5, seed=(0, 0))
    next(epoch)
    epoch.close()
    assert threading.active_count() == before


def test_an_error_in_the_making_of_a_batch_reaches_the_trainer() -> None:
    wrong = PHOTOS[:, :, :, 0]  # not pictures with channels
    with pytest.raises(ValueError, match="unpack"):
        next(epoch_batches(wrong, LABELS, hw=(32, 32), batch=2, min_crop=0.5, seed=(0, 0)))


# -- one photo


def test_augmenting_follows_the_generator_alone() -> None:
    def once(seed: int) -> np.ndarray:
        return augment(PHOTOS[0], (40, 24), np.random.default_rng(seed), min_crop=0.3)

    np.testing.assert_array_equal(once(1), once(1))
    assert (once(1) != once(2)).any()
    assert once(1).shape == (40, 24, 3)
    assert once(1).dtype == np.uint8


def test_augmenting_leaves_the_photo_itself_alone() -> None:
    before = PHOTOS[0].copy()
    for seed in range(20):
        augment(PHOTOS[0], (60, 90), np.random.default_rng(seed), min_crop=1.0)
    np.testing.assert_array_equal(PHOTOS[0], before)


@pytest.mark.parametrize("hw", [(60, 90), (90, 60), (200, 31), (1, 1)])
def test_a_crop_lies_inside_and_covers_about_its_share(hw: tuple[int, int]) -> None:
    h, w = hw
    rows, columns = np.mgrid[:h, :w].astype(np.uint8)
    photo = np.stack([rows, columns, rows], axis=2)  # every pixel says where it was
    areas = []
    for seed in range(300):
        crop = random_crop(photo, np.random.default_rng(seed), min_area=0.35)
        box_h, box_w, _ = crop.shape
        top, left = crop[0, 0, :2]
        np.testing.assert_array_equal(crop, photo[top : top + box_h, left : left + box_w])
        areas.append(box_h * box_w / (h * w))
    assert max(areas) <= 1
    if min(hw) > 30:
        # A crop that would stick out is cut, so a little less than min_area is possible: the longest
        # side at share 1 and ratio 4:3 is 15 % too long.
        assert min(areas) > 0.33
        assert 0.55 < np.mean(areas) < 0.7


def test_half_of_the_photos_are_mirrored() -> None:
    ramp = np.repeat(np.arange(90, dtype=np.uint8)[None, :, None] * 2, 60, axis=0).repeat(3, axis=2)
    mirrored = [
        bool(frame[:, 0].mean() > frame[:, -1].mean())
        for frame in (augment(ramp, (32, 32), np.random.default_rng(s), min_crop=0.5) for s in range(400))
    ]
    assert 0.4 < np.mean(mirrored) < 0.6


def test_colours_change_by_one_curve_a_channel_and_stay_in_range() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    for seed in range(50):
        changed = change_colours(ramp, np.random.default_rng(seed), strength=1.0).reshape(256, 3).astype(int)
        assert (np.diff(changed, axis=0) >= 0).all()  # brighter stays brighter
        assert abs(changed[128] - 128).max() <= 45  # light: a shift of 25 and 7 % of white balance


def test_colours_stay_as_they_are_when_asked_to() -> None:
    photo = np.random.default_rng(0).integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
    for seed in range(5):
        assert np.array_equal(change_colours(photo, np.random.default_rng(seed), strength=0.0), photo)


@pytest.mark.parametrize("seed", range(20))
def test_an_unbalanced_epoch_shows_every_photo_once(seed: int) -> None:
    labels = np.array([0] * 17 + [2] * 3)  # class 1 has no photo
    order = epoch_order(labels, 0.0, np.random.default_rng(seed))
    assert sorted(order) == list(range(20))


@pytest.mark.parametrize("balance", [0.25, 0.5, 1.0])
def test_balance_shows_classes_in_the_promised_shares(balance: float) -> None:
    counts = np.array([90, 40, 5])
    labels = np.repeat(np.arange(3), counts)
    rng = np.random.default_rng(0)
    orders = [epoch_order(labels, balance, rng) for _ in range(400)]
    assert all(len(order) == len(labels) for order in orders)
    shown = np.bincount(labels[np.concatenate(orders)]) / (400 * len(labels))
    promised = counts ** (1 - balance) / (counts ** (1 - balance)).sum()
    np.testing.assert_allclose(shown, promised, atol=0.01)
    times = np.bincount(orders[0], minlength=len(labels))[labels == 2]
    assert times.max() - times.min() <= 1


def test_a_photo_shown_twice_in_an_epoch_is_changed_in_two_ways() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (12, 48, 48, 3), dtype=np.uint8)
    labels = np.array([0] * 11 + [1])
    batches = epoch_batches(frames, labels, hw=(32, 32), batch=12, min_crop=0.5, balance=1.0, seed=(0, 0))
    (batch,) = batches
    rare = batch.frames[batch.labels == 1]
    assert len(rare) >= 5
    assert len({frame.numpy().tobytes() for frame in rare}) == len(rare)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_processes_make_the_batches_of_one(size: int) -> None:
    for step, whole in enumerate(batches()):
        for rank in range(size):
            part = list(
                epoch_batches(
                    PHOTOS, LABELS, hw=(32, 48), batch=4, min_crop=0.35, seed=(5, 0), part=(rank, size)
                )
            )[step]
            assert torch.equal(part.frames, whole.frames[rank::size])
            assert torch.equal(part.labels, whole.labels[rank::size])
