"""What every test may use: one finished run, its models in every precision, and a bundle that opens anywhere.

The run's network is the default one with its ImageNet weights. Its class head is drawn from the features of
its own photos, and the photos are labelled by its own answers, so it is right on every one of them and what
a candidate loses is the candidate's own.
"""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import pytest
from hypothesis import settings

from edge.loop_kit import make_bundle
from edgecam_calibration.evaluate import Labelled
from edgecam_calibration.fp16 import write_fp16
from edgecam_calibration.models import batches_of
from edgecam_calibration.quantize import TENSORRT, Calibration, cpu_profile
from edgecam_calibration.run import Run, open_run
from edgecam_engines.engine import Frame, Frames
from edgecam_engines.geometry import fit_batch
from edgecam_engines.head import Head, save_head
from edgecam_engines.photo import read_photo

# A shell that starts the suite in the background has it ignore Ctrl-C, and every process it starts too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run: a suite that fails now and then is not believed. Others, to look for more:
# `pytest --hypothesis-profile default`. No deadline, since a busy machine is no defect.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

INPUT_HW: Final = (96, 128)  # sides that differ, so that none is taken for the other
SCENES: Final = ("chelsea", "coffee", "astronaut", "rocket", "hubble_deep_field", "immunohistochemistry")
TRAIN, VAL = 8, 10  # photos of each scene


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `edgecam train` leaves, as far as `build-engine` reads it. Never write to it: copy it."""
    folder = tmp_path_factory.mktemp("session") / "run"
    drawn = _draw_photos(folder.parent / "drawn")
    frames = fit_batch([read_photo(path) for path in drawn], INPUT_HW)
    head, logits = _network(frames, folder / "model.onnx")
    split: dict[str, list[Any]] = {"train": [], "val": []}
    judged = []
    for number, (path, label) in enumerate(zip(drawn, logits.argmax(axis=1).tolist(), strict=True)):
        part = "train" if number % (TRAIN + VAL) < TRAIN else "val"
        placed = folder.parent / "data" / part / head.classes[label] / path.name
        placed.parent.mkdir(parents=True, exist_ok=True)
        path.rename(placed)
        split[part].append({"path": str(placed), "label": label})
        judged += [number] if part == "val" else []
    save_head(head, folder / "head.safetensors")
    np.save(folder / "val_logits.npy", logits[judged])
    (folder / "split.json").write_text(json.dumps(split))
    return folder


@pytest.fixture(scope="session")
def finished_run(run_folder: Path) -> Run:
    return open_run(run_folder)


class Models(NamedTuple):
    """The run's graph in every precision."""

    folder: Path
    files: dict[str, str]  # name -> file in the folder, as in a manifest
    passes: int  # how often the calibration photos were gone through
    calibration: Calibration

    def path(self, name: str) -> Path:
        return self.folder / self.files[name]


@pytest.fixture(scope="session")
def models(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Every model that `build-engine` writes, from one calibration."""
    folder = tmp_path_factory.mktemp("models")
    files = {name: f"models/{name}.onnx" for name in ("fp32", "fp16", "int8-cpu", "int8-tensorrt")}
    (folder / "models").mkdir()
    (folder / files["fp32"]).write_bytes(finished_run.model.read_bytes())
    write_fp16(finished_run.model, folder / files["fp16"])
    photos = Counted(finished_run.train)
    calibration = Calibration(finished_run.model, photos)
    calibration.write(cpu_profile(), folder / files["int8-cpu"])
    calibration.write(TENSORRT, folder / files["int8-tensorrt"])
    return Models(folder, files, photos.passes, calibration)


class Counted:
    """Calibration batches, and how often somebody went through them."""

    def __init__(self, photos: list[Labelled]) -> None:
        self._photos = photos
        self.passes = 0

    def __iter__(self) -> Iterator[Frames]:
        self.passes += 1
        return batches_of(self._photos, INPUT_HW)


@pytest.fixture(scope="session")
def val_frames(finished_run: Run) -> Frames:
    """The validation photos as the engine takes them, (n, h, w, 3)."""
    return fit_batch([read_photo(photo.path) for photo in finished_run.val], INPUT_HW)


@pytest.fixture
def fixed_bundle(tmp_path: Path) -> Path:
    """A bundle on the `fixed` back end, whose head names colours; yours to break."""
    return make_bundle(tmp_path / "colours.edgecam")


def _draw_photos(folder: Path) -> list[Path]:
    """JPEG crops of scikit-image's own photos (in its package, nothing is downloaded), scene by scene."""
    from skimage import data

    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = []
    for scene in SCENES:
        photo: Frame = np.asarray(getattr(data, scene)())[..., 2::-1]
        for number in range(TRAIN + VAL):
            path = folder / f"{scene}-{number:02}.jpg"
            assert cv2.imwrite(str(path), _crop(photo, rng))
            paths.append(path)
    return paths


def _crop(photo: Frame, rng: np.random.Generator) -> Frame:
    h, w = (int(side * share) for side, share in zip(photo.shape, rng.uniform(0.4, 0.9, 2), strict=False))
    top, left = rng.integers(photo.shape[0] - h), rng.integers(photo.shape[1] - w)
    crop = photo[top : top + h, left : left + w, :]
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def _network(frames: Frames, path: Path) -> tuple[Head, Any]:
    """Export the network; its class head, and its answers to `frames`."""
    import torch
    from torch import nn

    from edgecam_training.export import export_onnx
    from edgecam_training.model import Model

    torch.manual_seed(0)
    model = Model(
        len(SCENES), backbone="efficientnet_lite0", head="linear", dim=64, dropout=0.0, pretrained=True
    )
    model.eval().requires_grad_(False)
    for norm in (m for m in model.head.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
        norm.momentum = 1.0  # the statistics are those of the one batch below
        norm.train()
    for name, parameter in model.head.named_parameters():
        if "gate" in name or name.endswith("merge.weight"):  # zero until it is trained
            nn.init.normal_(parameter, std=0.2)
    model(torch.from_numpy(frames))
    pooled = model.eval()(torch.from_numpy(frames)).mean(dim=(2, 3)).numpy()
    weight, bias = _spread(pooled)
    logits = pooled @ weight.T + bias
    path.parent.mkdir(parents=True)
    export_onnx(model, INPUT_HW, path)
    return Head(weight, bias, tuple(f"class {k}" for k in range(len(SCENES)))), logits.astype(np.float32)


def _spread(pooled: Any) -> tuple[Any, Any]:
    """A head that tells the scenes apart: one row of weights towards the mean features of each."""
    middle = pooled.mean(axis=0)
    means = pooled.reshape(len(SCENES), -1, pooled.shape[1]).mean(axis=1) - middle
    weight = (6 * means / (means**2).sum(axis=1, keepdims=True)).astype(np.float32)
    return weight, (-weight @ middle).astype(np.float32)


@pytest.fixture
def disk_size() -> str:
    """Of `small_disk`; a module that needs another has its own."""
    return "256k"


@pytest.fixture
def small_disk(tmp_path: Path, disk_size: str) -> Iterator[Path]:
    """A disk that fills up soon, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={disk_size}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a full disk needs the right to mount a tmpfs")
    yield disk
    # Lazily: an exception that a test caught may still hold a file of it open.
    subprocess.run(["umount", "--lazy", str(disk)], check=True)
