"""`python -m edgecam_calibration.score`: stored maps in, the same figures as the plain restatement out."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.wsol_kit import filled, plain_accuracies, plain_pxap, smooth, true_boxes
from edgecam_calibration import score as command
from edgecam_calibration.localization import stored_cams

IDS = ("cat/001.jpg", "cat/002.jpg", "dog/a.b.png", "fish")
HW = (28, 36)
Run = Callable[..., Any]


def put(folder: Path, image_id: str, cam: NDArray[Any]) -> None:
    path = folder / f"{image_id}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, cam)


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


class Case:
    """Maps of IDS, true boxes of each, and both on disk."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.cams = folder / "cams"
        self.maps = {image_id: smooth(rng, HW, 5).astype(np.float32) for image_id in IDS}
        self.truths = {image_id: true_boxes(rng, HW) for image_id in IDS}
        for image_id, cam in self.maps.items():
            put(self.cams, image_id, cam)
        rows = [f"{i},{','.join(map(str, box))}" for i, boxes in self.truths.items() for box in boxes]
        self.boxes = write(folder / "boxes.csv", "image_id,x0,y0,x1,y1", *rows)

    def expected(self, interval: float) -> dict[str, float]:
        return plain_accuracies(list(self.maps.values()), list(self.truths.values()), interval)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; gives the document. `code` is the exit code expected."""

    def call(*arguments: object, code: int = 0) -> Any:
        assert command.main([*map(str, arguments), "--json", "--workers", "1"]) == code
        printed = capsys.readouterr()
        call.said = printed.err  # type: ignore[attr-defined]
        return json.loads(printed.out) if code == 0 else printed.err

    return call


# -- the figures


@pytest.mark.parametrize("interval", [0.001, 0.02])
def test_boxes_are_judged_in_the_maps_own_pixels(case: Case, run: Run, interval: float) -> None:
    document = run("--cams", case.cams, "--boxes", case.boxes, "--interval", interval)
    expected = case.expected(interval)
    assert document["max_box_acc"] == pytest.approx({k: expected[k] for k in ("0.3", "0.5", "0.7")}, abs=1e-6)
    assert document["gt_known_loc"] == pytest.approx(expected["largest"], abs=1e-6)
    assert document["n"] == len(IDS)
    assert document["top1_loc"] is document["pxap"] is document["baselines"]["cam"] is None


def wsol(folder: Path, sizes: dict[str, tuple[int, int]], localization: list[str]) -> Path:
    write(folder / "image_ids.txt", *sizes)
    write(folder / "class_labels.txt", *(f"{image_id},{k % 2}" for k, image_id in enumerate(sizes)))
    write(folder / "image_sizes.txt", *(f"{image_id},{w},{h}" for image_id, (w, h) in sizes.items()))
    write(folder / "localization.txt", *localization)
    return folder


def test_metadata_is_judged_at_224_pixels_with_boxes_cut_to_whole_ones(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(3)
    sizes = {"cat/1.jpg": (500, 375), "cat/2.jpg": (99, 333), "dog/3.jpg": (224, 224)}
    maps = {
        image_id: rng.normal(size=hw)
        for image_id, hw in zip(sizes, ((7, 7), (14, 20), (224, 224)), strict=True)
    }
    boxes = {image_id: true_boxes(rng, (h, w)) for image_id, (w, h) in sizes.items()}
    lines = [f"{i},{','.join(map(str, box))}" for i, found in boxes.items() for box in found]
    for image_id, cam in maps.items():
        put(tmp_path / "cams", image_id, cam)
    metadata = wsol(tmp_path / "val", sizes, lines)
    document = run("--cams", tmp_path / "cams", "--metadata", metadata, "--interval", 0.05)
    large = [cv2.resize(cam, (224, 224), interpolation=cv2.INTER_CUBIC) for cam in maps.values()]
    scaled = [
        [
            [int(x0 * 224 / w), int(y0 * 224 / h), int(x1 * 224 / w), int(y1 * 224 / h)]
            for x0, y0, x1, y1 in found
        ]
        for found, (w, h) in zip(boxes.values(), sizes.values(), strict=True)
    ]
    expected = plain_accuracies(large, scaled, 0.05)
    assert document["max_box_acc"] == pytest.approx({k: expected[k] for k in ("0.3", "0.5", "0.7")}, abs=1e-6)
    assert document["gt_known_loc"] == pytest.approx(expected["largest"], abs=1e-6)


def test_with_to_224_boxes_scale_as_those_of_photos_of_the_maps_size(case: Case, run: Run) -> None:
    h, w = HW
    lines = [f"{i},{','.join(map(str, box))}" for i, boxes in case.truths.items() for box in boxes]
    metadata = wsol(case.cams.parent / "val", dict.fromkeys(IDS, (w, h)), lines)
    asked = ("--cams", case.cams, "--interval", 0.02)
    found = run(*asked, "--boxes", case.boxes, "--to-224")
    assert found == run(*asked, "--metadata", metadata)
    assert found["protocol"] == {"threshold_interval": 0.02, "map_hw": [224, 224]}
    assert run(*asked, "--boxes", case.boxes)["protocol"]["map_hw"] is None


def test_a_map_of_224_pixels_is_the_same_either_way(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(5)
    put(tmp_path / "cams", "a", smooth(rng, (224, 224), 6))
    boxes = write(tmp_path / "boxes.csv", "image_id,x0,y0,x1,y1", "a,20,30,150,180")
    png(tmp_path / "masks" / "a.png", filled((224, 224), (20, 30, 150, 180)))
    asked = ("--cams", tmp_path / "cams", "--boxes", boxes, "--masks", tmp_path / "masks")
    own, brought = run(*asked), run(*asked, "--to-224")
    assert own.pop("protocol") != brought.pop("protocol")
    assert own == brought


def png(path: Path, mask: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), mask.astype(np.uint8))


def test_metadata_of_masks_gives_pxap_with_ignored_pixels_left_out(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(4)
    sizes = {"1.jpg": (60, 45), "2.jpg": (300, 80)}
    lines, masks = [], []
    for name, (w, h) in sizes.items():
        parts = [filled((h, w), true_boxes(rng, (h, w))[0], 255) for _ in range(3)]
        for part, file in zip(parts, ("a", "b", "ignore"), strict=True):
            png(tmp_path / "masks" / f"{name}.{file}.png", part)
        lines += [f"{name},{name}.a.png,{name}.ignore.png", f"{name},{name}.b.png,"]
        a, b, ignored = (
            cv2.resize(part, (224, 224), interpolation=cv2.INTER_NEAREST) > 0.5 for part in parts
        )
        masks.append(np.where(a | b, 1, np.where(ignored, 255, 0)))
        put(tmp_path / "cams", name, rng.normal(size=(9, 9)))
    cams = [
        cv2.resize(np.load(tmp_path / "cams" / f"{name}.npy"), (224, 224), interpolation=cv2.INTER_CUBIC)
        for name in sizes
    ]
    metadata = wsol(tmp_path / "val", sizes, lines)
    document = run("--cams", tmp_path / "cams", "--metadata", metadata, "--masks", tmp_path / "masks")
    assert document["pxap"] == pytest.approx(plain_pxap(cams, masks, 0.001), abs=1e-6)
    assert document["max_box_acc_v2"] is None
    assert document["miou"] is not None


@pytest.mark.parametrize(("object_is", "ignored"), [(255, False), (1, True), (17, True)])
def test_255_in_a_folder_of_masks_is_left_out_where_other_numbers_are_the_objects(
    case: Case, run: Run, tmp_path: Path, object_is: int, ignored: bool
) -> None:
    cams, masks = [], []
    for k, (image_id, cam) in enumerate(case.maps.items()):
        mask = filled(HW, (4, 3, 15, 20), object_is)
        if ignored and k == 1:
            mask[25:] = 255
        png(tmp_path / "masks" / f"{image_id.removesuffix('.jpg').removesuffix('.png')}.png", mask)
        cams.append(cam)
        masks.append(np.where(mask == object_is, 1, mask))
    document = run("--cams", case.cams, "--boxes", case.boxes, "--masks", tmp_path / "masks")
    assert document["pxap"] == pytest.approx(plain_pxap(cams, masks, 0.001), abs=1e-6)
    assert document["counts"]["masks"] == len(IDS)
    assert ("255 are left out" in run.said) == ignored  # type: ignore[attr-defined]
    alone = run("--cams", case.cams, "--masks", tmp_path / "masks")
    assert alone["pxap"] == document["pxap"]
    assert alone["max_box_acc_v2"] is None
    if ignored:
        said = run("--cams", case.cams, "--masks", tmp_path / "masks", "--no-ignore-255")
        assert said["pxap"] != document["pxap"]


def test_thresholds_are_chosen_on_the_other_split(case: Case, run: Run, tmp_path: Path) -> None:
    other = Case(tmp_path / "fullsup", seed=8)
    document = run(
        "--cams", case.cams, "--boxes", case.boxes, "--interval", 0.02,
        "--fullsup-cams", other.cams, "--fullsup-boxes", other.boxes,
    )  # fmt: skip
    chosen = run("--cams", other.cams, "--boxes", other.boxes, "--interval", 0.02)
    assert document["threshold"] == document["at_threshold"]["threshold"] == chosen["threshold"]
    assert document["at_threshold"]["chosen_on"] == "another split"
    assert (
        document["max_box_acc"]
        == run("--cams", case.cams, "--boxes", case.boxes, "--interval", 0.02)["max_box_acc"]
    )


@pytest.mark.parametrize(
    ("dtype", "same"), [(np.float64, True), (np.float16, False), (np.int64, False), (np.bool_, False)]
)
def test_maps_of_any_kind_of_number_are_read(case: Case, run: Run, dtype: Any, same: bool) -> None:
    before = run("--cams", case.cams, "--boxes", case.boxes)
    for image_id, cam in case.maps.items():
        put(case.cams, image_id, (10 * cam).astype(dtype) if dtype != np.float64 else cam.astype(dtype))
    after = run("--cams", case.cams, "--boxes", case.boxes)
    assert (before == after) or not same
    assert after["n"] == len(IDS)


# -- which file is which image's


@pytest.mark.parametrize("named", ["{stem}{suffix}.npy", "{stem}.npy"])
def test_a_map_may_be_named_with_or_without_the_suffix_of_its_image(
    case: Case, run: Run, tmp_path: Path, named: str
) -> None:
    for image_id, cam in case.maps.items():
        suffix = Path(image_id).suffix
        name = named.format(stem=image_id.removesuffix(suffix), suffix=suffix)
        put(tmp_path / "other", name.removesuffix(".npy"), cam)
    found, expected = (run("--cams", cams, "--boxes", case.boxes) for cams in (tmp_path / "other", case.cams))
    assert found == expected


def test_a_map_named_after_a_photo_is_found_for_an_image_named_without_suffix(case: Case, run: Run) -> None:
    (case.cams / "fish.npy").rename(case.cams / "fish.jpeg.npy")
    assert run("--cams", case.cams, "--boxes", case.boxes)["n"] == len(IDS)


def test_missing_maps_are_named(case: Case, run: Run) -> None:
    (case.cams / "cat/002.jpg.npy").unlink()
    (case.cams / "fish.npy").unlink()
    said = run("--cams", case.cams, "--boxes", case.boxes, code=1)
    assert "no map for 2 of the 4 images" in said
    assert "cat/002.jpg\n" in said
    assert "    fish\n" in said


def test_one_map_for_two_images_is_refused(case: Case, run: Run, tmp_path: Path) -> None:
    boxes = write(tmp_path / "b.csv", "image_id,x0,y0,x1,y1", "x.jpg,1,1,5,5", "x.png,1,1,5,5")
    put(case.cams, "x", np.eye(9))
    assert "more than one image" in run("--cams", case.cams, "--boxes", boxes, code=1)


def test_maps_of_images_without_truth_are_not_looked_at(case: Case, run: Run) -> None:
    before = run("--cams", case.cams, "--boxes", case.boxes)
    (case.cams / "stray.npy").write_bytes(b"not a map")
    assert run("--cams", case.cams, "--boxes", case.boxes) == before


# -- what is wrong is said


@pytest.mark.parametrize(
    ("cam", "said"),
    [
        (np.zeros((2, 5, 5)), "float64 (2, 5, 5)"),
        (np.zeros(5), "float64 (5,)"),
        (np.zeros((0, 5)), "float64 (0, 5)"),
        (np.array([["a"]]), "<U1 (1, 1)"),
        (np.zeros((2, 2), complex), "complex128 (2, 2)"),
    ],
)
def test_an_array_that_is_no_map_is_named(case: Case, run: Run, cam: NDArray[Any], said: str) -> None:
    put(case.cams, IDS[1], cam)
    message = run("--cams", case.cams, "--boxes", case.boxes, code=1)
    assert f"{IDS[1]}.npy is no" in message
    assert f"map: it holds {said}" in message


def test_a_file_that_numpy_cannot_read_is_named_and_nothing_in_it_is_run(case: Case, run: Run) -> None:
    path = case.cams / f"{IDS[0]}.npy"
    for content in (b"", b"not numpy", path.read_bytes()[:90]):
        path.write_bytes(content)
        assert f"{path} is not readable" in run("--cams", case.cams, "--boxes", case.boxes, code=1)
    np.save(path, np.array([[{}]], dtype=object), allow_pickle=True)
    assert f"{path} is not readable" in run("--cams", case.cams, "--boxes", case.boxes, code=1)
    with path.open("wb") as file:
        np.savez(file, cam=np.eye(3))
    assert "an archive" in run("--cams", case.cams, "--boxes", case.boxes, code=1)


def test_bad_rows_are_reported_and_the_rest_is_scored(case: Case, run: Run) -> None:
    with case.boxes.open("a") as file:
        file.write("cat/001.jpg,9,9,3,3\nfish,1,2,3\n")
    assert run("--cams", case.cams, "--boxes", case.boxes)["n"] == len(IDS)
    assert "line" in run.said  # type: ignore[attr-defined]
    assert "left out" in run.said  # type: ignore[attr-defined]


def test_boxes_that_reach_beyond_their_map_are_pointed_out(case: Case, run: Run) -> None:
    with case.boxes.open("a") as file:
        file.write("fish,30,10,400,300\n")
    run("--cams", case.cams, "--boxes", case.boxes)
    said = (
        f"{case.boxes}, fish: box 30,10,400,300 reaches beyond its map of 36 x 28 pixels (used as it stands)"
    )
    assert said in run.said  # type: ignore[attr-defined]
    assert "use --metadata" in run.said  # type: ignore[attr-defined]


@pytest.mark.parametrize(("box", "told"), [("0,0,35,27", False), ("0,0,36,27", True), ("-1,0,35,27", True)])
def test_the_last_pixel_of_a_map_is_its_size_less_one(case: Case, run: Run, box: str, told: bool) -> None:
    boxes = write(case.boxes.with_name("edge.csv"), "image_id,x0,y0,x1,y1", f"fish,{box}")
    assert run("--cams", case.cams, "--boxes", boxes)["n"] == 1
    assert ("reaches beyond" in run.said) == told  # type: ignore[attr-defined]


def test_a_folder_that_is_not_there_is_a_known_error(case: Case, run: Run, tmp_path: Path) -> None:
    assert "is not a folder" in run("--cams", tmp_path / "no", "--boxes", case.boxes, code=1)
    assert "does not exist" in run("--cams", case.cams, "--boxes", tmp_path / "no.csv", code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--cams", "c"],
        ["--cams", "c", "--boxes", "b", "--metadata", "m"],
        ["--cams", "c", "--boxes", "b", "--interval", "0"],
        ["--cams", "c", "--boxes", "b", "--interval", "nan"],
        ["--cams", "c", "--boxes", "b", "--workers", "0"],
        ["--cams", "c", "--boxes", "b", "--fullsup-boxes", "f"],
        ["--cams", "c", "--boxes", "b", "--fullsup-cams", "f"],
        ["--cams", "c", "--boxes", "b", "--nonsense"],
    ],
)
def test_wrong_usage_leaves_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        command.main(arguments)
    assert leaving.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(RuntimeError("odd"), 3), (KeyboardInterrupt(), 130)])
def test_what_nobody_expected_has_its_exit_code(
    case: Case, run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(command, "score_stored", fail)
    said = run("--cams", case.cams, "--boxes", case.boxes, code=code)
    assert ("odd" in said) == (code == 3)


# -- as a program


def test_without_json_a_table_is_printed(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--cams", str(case.cams), "--boxes", str(case.boxes)]) == 0
    printed = capsys.readouterr().out
    assert "Localization on 4 images" in printed
    assert "MaxBoxAccV2" in printed


def test_processes_beside_each_other_give_the_same_document(
    case: Case, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = run("--cams", case.cams, "--boxes", case.boxes)
    monkeypatch.setattr(stored_cams, "_WORTH_A_WORKER", 1)
    monkeypatch.setattr(stored_cams, "_CHUNK", 2)
    arguments = ["--cams", str(case.cams), "--boxes", str(case.boxes), "--json", "--workers", "2"]
    assert command.main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == alone


def test_an_error_in_another_process_is_told_like_any(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(case.cams, IDS[3], np.zeros((2, 2, 2)))
    monkeypatch.setattr(stored_cams, "_WORTH_A_WORKER", 1)
    assert command.main(["--cams", str(case.cams), "--boxes", str(case.boxes), "--workers", "2"]) == 1
    assert "fish.npy is no map" in capsys.readouterr().err


def test_it_runs_as_a_module(case: Case, run: Run) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgecam_calibration.score", "--json"),
            *("--cams", case.cams, "--boxes", case.boxes),
        ],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert json.loads(done.stdout) == run("--cams", case.cams, "--boxes", case.boxes)
    assert done.stderr == ""
