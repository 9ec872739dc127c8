"""A diffusion model as painter, for those who have one on disk: off by default, and never downloaded.

What is around a thing is repainted at half strength, so the picture that is there still guides it.
Sources: strength and image-to-image augmentation, DA-Fusion (arXiv:2302.07944); guidance (arXiv:2207.12598).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Frame
from edgecam_engines.errors import BackendUnavailable, DataError

STRENGTH: Final = 0.5  # share of the noising that is undone
GUIDANCE: Final = 7.5
STEPS: Final = 50  # of which STRENGTH are taken
_MULTIPLE: Final = 64  # pixels: what the usual networks halve without a rest


class Diffusion:
    """Any diffusers inpainting pipeline that takes a prompt, a picture and a mask."""

    def __init__(self, pipeline: Any, prompt: str, *, steps: int = STEPS) -> None:
        self._pipeline, self._prompt, self._steps = pipeline, prompt, steps

    def fill(self, photo: Frame, mask: NDArray[np.bool_], rng: np.random.Generator, /) -> Frame:
        """(h, w, 3) BGR and (h, w) True where to paint -> (h, w, 3); the rest stays to the bit."""
        import torch
        from PIL import Image

        h, w = mask.shape
        inside = tuple(max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE) for side in (w, h))
        picture = cv2.resize(photo, inside, interpolation=cv2.INTER_AREA)
        where = cv2.resize(mask.astype(np.uint8) * 255, inside, interpolation=cv2.INTER_NEAREST)
        # A generator on the CPU draws the same noise on every device.
        noise = torch.Generator("cpu").manual_seed(int(rng.integers(2**63)))
        painted = self._pipeline(
            prompt=self._prompt,
            image=Image.fromarray(np.ascontiguousarray(picture[:, :, ::-1])),
            mask_image=Image.fromarray(where),
            width=inside[0],
            height=inside[1],
            strength=STRENGTH,
            guidance_scale=GUIDANCE,
            num_inference_steps=self._steps,
            generator=noise,
        ).images[0]
        bgr = np.ascontiguousarray(np.asarray(painted.convert("RGB"), np.uint8)[:, :, ::-1])
        back = cv2.resize(bgr, (w, h), interpolation=cv2.INTER_LINEAR)
        return np.asarray(np.where(mask[:, :, None], back, photo), np.uint8)


def open_diffusion(folder: Path, prompt: str) -> Diffusion:
    """Load a pipeline from a folder of this disk, safetensors only, and on the GPU where there is one.

    Raises BackendUnavailable without the libraries, DataError for a folder that is no such pipeline.
    """
    if missing := [name for name in ("torch", "diffusers", "transformers") if find_spec(name) is None]:
        raise BackendUnavailable(
            f"--fill diffusers needs {', '.join(missing)}.\n    pip install 'edgecam[diffusers]'"
        )
    if not (folder / "model_index.json").is_file():
        raise DataError(
            f"--model {folder} is not a pipeline's folder: it has no model_index.json.\n"
            f"Give the folder of a diffusers inpainting pipeline that is on this disk; nothing is downloaded."
        )
    import torch
    from diffusers import AutoPipelineForInpainting
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    of_diffusers.disable_progress_bar()
    of_transformers.disable_progress_bar()
    try:
        # Pickled weights could run code of their own, so there is no falling back on them.
        pipeline = AutoPipelineForInpainting.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            low_cpu_mem_usage=find_spec("accelerate") is not None,  # which it needs for that
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError(
            f"--model {folder} cannot be opened: {error}.\n"
            f"It must be a diffusers inpainting pipeline, complete, with its weights as safetensors."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return Diffusion(pipeline.to("cuda" if torch.cuda.is_available() else "cpu"), prompt)
