"""Pooled features of labelled photos by the default backbone with its ImageNet weights, FP32 and INT8.

No network of ours that was trained on photos of the world exists to be downloaded, and one that was trained
on the photos that are to be taught would know the classes already. So the features are those that the
backbone's own ImageNet classifier reads: 1,280 numbers a photo, the mean of a map of 7 x 7 cells. They are
what a class head reads in a bundle, by the same graph writer, the same calibration and the same engine.
"""

import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from imagenet_int8 import Classifier
from numpy.typing import NDArray

from edgecam_calibration.evaluate import Labelled
from edgecam_calibration.models import batches_of
from edgecam_calibration.quantize import Recipe, cached_calibration, cpu_profile
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.photo import is_photo
from edgecam_training.export import write_graph

INPUT_HW = (224, 224)
CALIBRATORS = 96


class Photos(NamedTuple):
    """Labelled photos by their features, once for each precision."""

    features: dict[str, NDArray[np.float32]]  # "fp32" and "int8": (n, d), pooled
    labels: NDArray[np.int64]  # (n,), index into the classes of `train`


def listed(folder: Path, classes: list[str]) -> list[Labelled]:
    return [
        Labelled(path, k)
        for k, name in enumerate(classes)
        for path in sorted((folder / name).glob("*"))
        if is_photo(path)
    ]


def load(data: Path, cache: Path) -> tuple[list[str], Photos, Photos]:
    """Classes, train and val of DATA/train/CLASS/* and DATA/val/CLASS/*; computed once, then from `cache`."""
    classes = sorted(p.name for p in (data / "train").iterdir() if p.is_dir())
    if not cache.is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, **_computed(data, classes))
    with np.load(cache) as kept:
        parts = [
            Photos({p: kept[f"{part}-{p}"] for p in ("fp32", "int8")}, kept[f"{part}-labels"])
            for part in ("train", "val")
        ]
    return classes, parts[0], parts[1]


def _computed(data: Path, classes: list[str]) -> dict[str, NDArray[np.generic]]:
    train, val = listed(data / "train", classes), listed(data / "val", classes)
    chosen = np.random.default_rng(0).permutation(len(train))[:CALIBRATORS]
    calibrators = [train[i] for i in chosen]
    with tempfile.TemporaryDirectory() as folder:
        models = {p: Path(folder) / f"{p}.onnx" for p in ("fp32", "int8")}
        free = ({0: torch.export.Dim("n", min=1, max=1024)},)
        example = (torch.zeros(2, *INPUT_HW, 3, dtype=torch.uint8),)
        write_graph(
            Classifier(),
            example,
            models["fp32"],
            inputs=["frames"],
            outputs=["features"],
            dynamic_shapes=free,
        )
        calibration = cached_calibration(
            models["fp32"], [p.path for p in calibrators], lambda: batches_of(calibrators, INPUT_HW)
        )
        calibration.write(cpu_profile(), models["int8"], recipe=Recipe())
        found: dict[str, NDArray[np.generic]] = {}
        for precision, model in models.items():
            with closing(OnnxRuntimeEngine(model, name=precision)) as engine:
                for part, photos in (("train", train), ("val", val)):
                    pooled = [
                        engine.infer(frames).mean(axis=(2, 3)) for frames in batches_of(photos, INPUT_HW)
                    ]
                    found[f"{part}-{precision}"] = np.concatenate(pooled)
                    found[f"{part}-labels"] = np.array([photo.label for photo in photos])
    return found
