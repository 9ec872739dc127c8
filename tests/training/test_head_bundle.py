"""A mixture of experts all the way, trained with L1, exported and shipped: its maps are still exact."""

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from edgecam_calibration.build import build_engine
from edgecam_calibration.gate import ANYTHING_GOES
from edgecam_engines.bundle import open_bundle
from edgecam_engines.geometry import fit_batch
from edgecam_engines.photo import read_photo
from edgecam_training.backbone import BACKBONES
from edgecam_training.model import Model, read_tensors
from edgecam_training.options import Options
from edgecam_training.sparsity import sparsity
from edgecam_training.train import train
from training.head_kit import tiny_body
from training.photo_kit import make_photos

HW = (64, 96)
OPTIONS = Options(
    input_height=HW[0],
    input_width=HW[1],
    backbone="tiny",
    head="moe",
    pretrained=False,
    dim=64,
    experts=3,
    experts_kept=2,
    epochs=2,
    batch=8,
    head_epochs=0,
    last_epochs=0,
    clean_epochs=1,
    l1=1e-4,
)


class Finished(NamedTuple):
    data: Path
    run: Path
    said: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("moe")
    data = make_photos(folder / "photos", count=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "tiny", tiny_body)
        lines: list[str] = []
        patch.setattr("edgecam_training.finish.log.print", lambda line, **_: lines.append(line))
        train(data, folder / "run", OPTIONS)
    return Finished(data, folder / "run", "\n".join(lines))


def network(run: Path) -> Model:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "tiny", tiny_body)
        model = Model(3, backbone="tiny", head="moe", dim=64, dropout=0.0, pretrained=False, experts=(3, 2))
    model.load_state_dict(read_tensors(run / "weights.safetensors"))
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_maps_of_a_bundle_average_to_its_logits(finished: Finished, tmp_path: Path, precision: str) -> None:
    out = tmp_path / "moe.edgecam"
    build_engine(
        finished.run,
        out,
        precision=precision,
        backend="onnxruntime",
        bounds=ANYTHING_GOES,
    )
    bundle = open_bundle(out)
    head = bundle.head()
    frames = fit_batch([read_photo(path) for path in sorted(finished.data.glob("*/*.png"))[::7]], HW)
    with closing(bundle.engine()) as engine:
        features = engine.infer(frames)
    logits = head.logits(features)
    for k in range(3):
        means = head.cam(features, [k] * len(frames)).mean(axis=(1, 2)) + head.bias[k]
        np.testing.assert_allclose(means, logits[:, k], atol=1e-5)
    if precision == "fp32":
        model = network(finished.run)
        by_torch = model(torch.from_numpy(frames))
        # But for what all classes share, which was fitted afterwards and stands in the head.
        maps = np.stack([head.cam(features, [k] * len(frames)) for k in range(3)], axis=1)
        for ours, torchs in ((logits, model.logits(by_torch)), (maps, model.cams(by_torch))):
            wanted = torchs.numpy()
            np.testing.assert_allclose(
                ours - ours.mean(axis=1, keepdims=True),
                wanted - wanted.mean(axis=1, keepdims=True),
                atol=1e-4,
            )


def test_the_weights_that_l1_drove_to_nothing_are_told_and_in_the_report(finished: Finished) -> None:
    page = (finished.run / "report.html").read_text()
    assert "Sparsity: weights below 0.001 after L1 of 0.0001" in page
    for stage in sparsity(network(finished.run)):
        assert f"{stage.share:6.1%} of {stage.weights:,} weights below 0.001: {stage.name}" in finished.said
        assert stage.name in page
