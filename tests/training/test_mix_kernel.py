"""The spatial kernel: closed forms, the table of the theory, and the pictures."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from edgecam_engines.console import log
from edgecam_training.mixing import MIXES
from edgecam_training.mixing.cutmix import cutmix_masks
from edgecam_training.mixing.draw import beta
from edgecam_training.mixing.explain import DISTANCES, explain, explain_run, explained, spread_over_classes
from edgecam_training.mixing.fmix import fmix_masks
from edgecam_training.mixing.kernel import axial, correlations, kernel_of, main, radial
from edgecam_training.mixing.specimens import specimens
from edgecam_training.options import Options, save_options
from training.mix_kit import rng_of

# K(0) and K(d)/K(0) at 64 x 64 with alpha 1, and how far the label's share is from the draw on average.
# Made with 1,200 to 3,000 masks by another program along rows and columns; FMix on a torus.
TABLE = {
    "mixup": (0.172, (1.0, 1.0, 1.0, 1.0, 1.0), 0.0),
    "cutmix": (0.211, (0.931, 0.852, 0.665, 0.264, 0.040), 0.115),
    "hmix": (0.207, (0.970, 0.936, 0.859, 0.769, 0.739), 0.0),
    "gmix": (0.230, (0.990, 0.963, 0.877, 0.719, 0.692), 0.025),
    "fmix": (0.319, (0.880, 0.768, 0.587, 0.441, 0.605), 0.0),
    "resizemix": (0.164, (0.915, 0.818, 0.600, 0.192, 0.002), None),
}
DRAWS, FEWEST = 600, 1200


@pytest.mark.parametrize("name", TABLE)
def test_the_kernels_are_the_tables_within_the_error_of_both(name: str) -> None:
    at_zero, relative, bias = TABLE[name]
    rng, mix = rng_of(3), MIXES[name]
    assert mix.masks is not None
    kept = beta(2, 1, DRAWS, rng)
    masks = mix.masks(kept, (64, 64), rng).double()
    kernel = kernel_of(masks, axial)
    both = (1 + DRAWS / FEWEST) ** 0.5  # their error from ours, by the number of draws
    own = (1 - masks).square().mean(dim=(1, 2)).std() / DRAWS**0.5
    assert abs(float(kernel.value[0]) - at_zero) < 4 * both * float(own) + 0.0005
    for distance, expected in zip(DISTANCES, relative, strict=True):
        tolerance = 4 * both * float(kernel.error[distance]) + 0.0005
        assert tolerance < 0.12  # or nothing would be tested
        assert abs(float(kernel.relative[distance]) - expected) < tolerance, distance
    if bias is not None:
        gaps = masks.mean(dim=(1, 2)) - kept
        assert abs(float(gaps.mean()) - bias) < 4 * both * float(gaps.std()) / DRAWS**0.5 + 0.0005


def test_mixups_kernel_is_flat_and_the_second_moment_of_what_is_replaced() -> None:
    kept = torch.tensor([0.2, 0.7], dtype=torch.float64)
    assert MIXES["mixup"].masks is not None
    kernel = kernel_of(MIXES["mixup"].masks(kept, (16, 16), rng_of(0)))
    torch.testing.assert_close(kernel.relative, torch.ones(16, dtype=torch.float64))
    assert float(kernel.value[0]) == pytest.approx((0.8**2 + 0.3**2) / 2)


def test_a_boxs_kernel_has_the_closed_form_of_overlapping_boxes() -> None:
    n, tall, wide = 16, 6, 5
    masks = torch.ones(1, n, n)
    masks[:, 4 : 4 + tall, 7 : 7 + wide] = 0
    by_offset = correlations(1 - masks.double())[0]
    for dy in range(n):
        for dx in range(n):
            pairs = max(0, tall - dy) * max(0, wide - dx)
            assert float(by_offset[dy, dx]) == pytest.approx(pairs / ((n - dy) * (n - dx)), abs=1e-12)


def test_correlations_are_what_a_loop_over_pairs_gives() -> None:
    weights = torch.rand(1, 5, 5, dtype=torch.float64, generator=rng_of(0))
    by_offset = correlations(weights)[0]
    for dy, dx in [(0, 0), (1, 0), (0, 3), (2, 2), (-1, 2), (4, -4)]:
        pairs = [
            float(weights[0, y, x] * weights[0, y + dy, x + dx])
            for y in range(5)
            for x in range(5)
            if 0 <= y + dy < 5 and 0 <= x + dx < 5
        ]
        assert float(by_offset[dy, dx]) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_rings_and_axes_begin_alike_and_average_what_they_say() -> None:
    field = torch.zeros(1, 8, 8, dtype=torch.float64)
    for dy in range(-4, 4):
        for dx in range(-4, 4):
            field[0, dy, dx] = round(float(np.hypot(dy, dx)))
    assert radial(field)[0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert axial(field)[0].tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("profile", [radial, axial])
def test_cutmix_ties_pixels_less_the_further_they_are_apart(profile: Callable[[Tensor], Tensor]) -> None:
    """But for a thousandth, since rings are drawn on a grid and masks by chance."""
    kernel = kernel_of(cutmix_masks(beta(2, 1, 400, rng_of(0)), (64, 64), rng_of(1)), profile)
    assert float(kernel.relative.diff().max()) < 1e-3
    assert float(kernel.relative[-1]) < 0.05


def test_at_distance_0_a_binary_masks_kernel_is_the_share_that_is_replaced() -> None:
    for name in ("cutmix", "fmix", "resizemix", "contextmix", "snapmix", "cutout"):
        law = MIXES[name].masks
        assert law is not None
        masks = law(beta(2, 1, 50, rng_of(0)), (32, 32), rng_of(1))
        assert float(kernel_of(masks).value[0]) == pytest.approx(1 - float(masks.double().mean()), abs=1e-9)


def test_cutmix_replaces_a_corner_a_quarter_as_often_as_the_centre() -> None:
    """A box of side s holds the centre with probability s^2 and a corner with (s/2)^2; E[s^2] = 1/3."""
    draws = 4000
    replaced = 1 - cutmix_masks(beta(2, 1, draws, rng_of(0)), (64, 64), rng_of(1)).double().mean(dim=0)
    assert float(replaced[31:33, 31:33].mean()) == pytest.approx(1 / 3, abs=0.03)
    corners = replaced[[0, 0, -1, -1], [0, -1, 0, -1]].mean()
    assert float(corners) == pytest.approx(1 / 12, abs=0.015)


def test_far_pixels_are_tied_again_by_fmix_and_not_on_a_larger_canvas() -> None:
    kept = beta(2, 1, 300, rng_of(0))
    once, twice = (kernel_of(fmix_masks(kept, (64, 64), rng_of(1), canvas=c), axial).relative for c in (1, 2))
    assert float(once[56] - once[32]) > 0.1
    assert float(twice[56] - twice[32]) < 0.02


def test_the_error_of_a_kernel_is_what_repeating_it_shows() -> None:
    laws = [cutmix_masks(beta(2, 1, 60, rng_of(s)), (32, 32), rng_of(s + 100)) for s in range(60)]
    kernels = [kernel_of(masks) for masks in laws]
    seen = torch.stack([kernel.relative[12] for kernel in kernels]).std()
    said = torch.stack([kernel.error[12] for kernel in kernels]).mean()
    assert 0.7 < float(said / seen) < 1.4


# -- pictures


def test_made_up_pictures_hold_their_subject_where_their_map_says() -> None:
    shown = specimens(6, (96, 160), seed=0)
    assert shown.images.shape == (6, 96, 160, 3)
    assert shown.saliency.shape == (6, 6, 10)
    for image, name, saliency in zip(shown.images, shown.names, shown.saliency, strict=True):
        vivid = (image.int().amax(dim=2) >= 225) | (image.int().amin(dim=2) <= 35)
        cells = torch.nn.functional.avg_pool2d(vivid[None].float(), 16)[0]
        assert float(torch.corrcoef(torch.stack([cells.flatten(), saliency.flatten()]))[0, 1]) > 0.9, name


def test_explaining_leaves_three_pictures_and_their_numbers(tmp_path: Path) -> None:
    explain(specimens(3, (64, 96), seed=1), ["cutmix", "snapmix", "puzzlemix-lite"], tmp_path, draws=20)
    assert {path.name for path in tmp_path.iterdir()} == {
        "kernel.png",
        "kernel.json",
        "masks.png",
        "samples.png",
    }
    document = json.loads((tmp_path / "kernel.json").read_text())
    rows = {row["mix"]: row for row in document["mixes"]}
    assert [row["theorem_holds"] for row in rows.values()] == [True, False, False]
    assert rows["cutmix"]["mean_share_minus_drawn"] > 0
    assert rows["puzzlemix-lite"]["mean_share_minus_drawn"] is None


def test_masks_that_follow_the_photos_are_drawn_from_the_photos() -> None:
    shown = specimens(4, (64, 64), seed=0)._replace(saliency=torch.randn(4, 7, 7, generator=rng_of(0)))
    known = explained("attentive-cutmix", shown, 30)
    assert len(known.masks) == 32  # whole rounds of four
    assert len(known.masks.unique(dim=0)) == 4  # one for each partner


def test_a_run_is_explained_by_its_own_photos(run_folder: Path, tmp_path: Path) -> None:
    run = shutil.copytree(run_folder, tmp_path / "run")
    save_options(
        Options(input_height=96, input_width=128, mix="attentive-cutmix,cutmix"), run / "options.json"
    )
    explain_run(run, draws=16)
    document = json.loads((run / "mixes" / "kernel.json").read_text())
    assert [row["mix"] for row in document["mixes"]] == ["attentive-cutmix", "cutmix"]


def test_a_run_without_a_mix_has_nothing_to_explain(tmp_path: Path) -> None:
    save_options(Options(mix="none"), tmp_path / "options.json")
    with log.capture() as told:
        explain_run(tmp_path)
    assert "no mix to explain" in told.get()
    assert not (tmp_path / "mixes").exists()


def test_photos_are_taken_from_every_class_in_turn() -> None:
    from edgecam_calibration.evaluate import Labelled

    photos = [Labelled(Path(f"{label}{i}"), label) for label in (0, 1, 2) for i in range(4)]
    assert [str(photo.path) for photo in spread_over_classes(photos, 5)] == ["00", "10", "20", "01", "11"]


def test_the_module_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["kernel", "--out", str(tmp_path), "--mix", "mixup,fmix", "--draws", "5"]
    )
    main()
    document = json.loads((tmp_path / "kernel.json").read_text())
    assert [row["mix"] for row in document["mixes"]] == ["mixup", "fmix"]
    assert (tmp_path / "samples.png").stat().st_size > 1000
