"""The diffusion back end on a tiny pipeline of random weights: what it may change, and no network."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecam_engines.errors import BackendUnavailable, DataError
from edgecam_training.recompose import diffusion
from edgecam_training.recompose.diffusion import GUIDANCE, STRENGTH, Diffusion, open_diffusion
from training.recompose_kit import RED, disc, photo


class Recorder:
    """Stands where a pipeline does, paints white, and keeps what it was called with."""

    def __call__(self, **asked: Any) -> "Recorder":
        self.asked = asked
        self.images = [asked["image"].point(lambda _: 255)]
        return self


def test_the_mask_is_what_is_painted_and_the_settings_are_the_published_ones() -> None:
    recorder, frame = Recorder(), photo(RED)
    made = Diffusion(recorder, "a shelf").fill(frame, ~disc(), np.random.default_rng(0))
    np.testing.assert_array_equal(made[disc()], frame[disc()])
    assert (made[~disc()] == 255).all()
    asked = recorder.asked
    assert (asked["strength"], asked["guidance_scale"], asked["prompt"]) == (0.5, 7.5, "a shelf")
    assert (STRENGTH, GUIDANCE) == (0.5, 7.5)
    assert (asked["width"], asked["height"]) == asked["image"].size == asked["mask_image"].size == (128, 128)
    white = np.asarray(asked["mask_image"]) == 255
    assert white.mean() == pytest.approx((~disc()).mean(), abs=0.02)
    red = np.asarray(asked["image"])[~white].mean(axis=0)
    assert red.argmax() == 0  # RGB: BGR would be blue


def test_what_is_missing_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusion, "find_spec", lambda name: None if name == "diffusers" else object())
    with pytest.raises(BackendUnavailable, match=r"needs diffusers\.\n.*edgecam\[diffusers\]"):
        open_diffusion(tmp_path, "a photo")


# -- with the library


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion inpainting pipeline of a few thousand random weights, as safetensors."""
    pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'edgecam[diffusers]'")
    pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install 'edgecam[diffusers]'"
    )
    import diffusers
    import torch
    from diffusers.utils import logging as of_diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
    from transformers.utils import logging as of_transformers

    of_diffusers.disable_progress_bar()
    of_transformers.disable_progress_bar()
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    words = ["<|startoftext|>", "<|endoftext|>", "a</w>", "p", "h", "o", "t", "o</w>"]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    whole = diffusers.StableDiffusionInpaintPipeline(
        vae=diffusers.AutoencoderKL(
            block_out_channels=(16, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=8,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=50,
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=1,
            )
        ),
        tokenizer=CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77),
        unet=diffusers.UNet2DConditionModel(
            sample_size=32,
            in_channels=9,
            out_channels=4,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=8,
            norm_num_groups=8,
        ),
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    whole.save_pretrained(folder / "pipeline", safe_serialization=True)
    return folder / "pipeline"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuses)
    monkeypatch.setattr(socket, "getaddrinfo", refuses)


@pytest.mark.usefixtures("offline")
def test_a_pipeline_from_this_disk_paints_the_mask_alone_and_by_the_generator_alone(pipeline: Path) -> None:
    opened = open_diffusion(pipeline, "a photo")
    painter = Diffusion(opened._pipeline, "a photo", steps=4)
    frame = photo(RED)
    made = [painter.fill(frame, ~disc(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    for one in made:
        np.testing.assert_array_equal(one[disc()], frame[disc()])
        assert (one[~disc()] != frame[~disc()]).mean() > 0.5
    np.testing.assert_array_equal(made[0], made[1])
    assert (made[0] != made[2]).any()


@pytest.mark.usefixtures("offline")
def test_pickled_weights_are_refused(pipeline: Path, tmp_path: Path) -> None:
    import torch

    pickled = shutil.copytree(pipeline, tmp_path / "pickled")
    (pickled / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, pickled / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(DataError, match=r"cannot be opened(.|\n)*safetensors"):
        open_diffusion(pickled, "a photo")


def test_a_folder_that_is_no_pipeline_is_explained(tmp_path: Path, pipeline: Path) -> None:
    with pytest.raises(DataError, match=r"has no model_index\.json"):
        open_diffusion(tmp_path, "a photo")
    (tmp_path / "model_index.json").write_text('{"_class_name": "NoSuchPipeline"}')
    with pytest.raises(DataError, match="cannot be opened"):
        open_diffusion(tmp_path, "a photo")
