"""Makes docs/overlay.jpg, the README's picture: `python docs/make_overlay.py`.

The default backbone with its own ImageNet classifier as class head, on scikit-image's sample photos
(public domain or CC0). Drawn by the same code as the camera loop.
"""

from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch

from edgecam import overlay
from edgecam.recognise import recognise
from edgecam.sources.source import Shot
from edgecam_engines.engine import Features, Frames, check_frames
from edgecam_engines.head import Head
from edgecam_training.backbone import lite0_classifier

# Photo, and the ImageNet ids that make up the class shown (id 504 is a coffee mug, for example).
PHOTOS = {"chelsea": (281, 282, 285), "coffee": (504, 967, 968), "rocket": (657, 744, 812)}
NAMES = {281: "cat", 504: "coffee", 657: "rocket"}


class ImageNetEngine:
    """Features before the pooling of the ImageNet classifier: d = 1280 at stride 32."""

    name = "torch-fp32"
    input_hw = (320, 480)

    def __init__(self, net: torch.nn.Module) -> None:
        self.features = net.features

    def infer(self, frames: Frames, /) -> Features:
        check_frames(frames, self.input_hw)
        pixels = torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            return self.features((pixels - 127) / 128).numpy()

    def close(self) -> None:
        pass


def head_of(net: torch.nn.Module) -> Head:
    """One row for each class shown: the mean of its ImageNet rows, against the mean of all others."""
    weight, bias = net.classifier[1].weight.detach().numpy(), net.classifier[1].bias.detach().numpy()
    groups = list(PHOTOS.values())
    rows = np.stack([weight[list(ids)].mean(axis=0) for ids in groups])
    offsets = np.array([bias[list(ids)].mean() for ids in groups], dtype=np.float32)
    return Head(rows, offsets, tuple(NAMES[ids[0]] for ids in groups))


def main() -> None:
    net = lite0_classifier(pretrained=True).eval()
    engine, head = ImageNetEngine(net), head_of(net)
    tiles = []
    for name in PHOTOS:
        photo = getattr(skimage.data, name)()[..., ::-1]
        frame = cv2.resize(photo, (480, 320), interpolation=cv2.INTER_AREA).astype(np.uint8)
        shot = Shot(np.ascontiguousarray(frame), 0, 0.0, 0.0)
        result = recognise(shot, engine, head, 0.5, now=lambda: 0.0)
        overlay.draw_answer(shot.frame, result)
        print(name, result.label, f"{result.confidence:.2f}", result.box)
        tiles.append(shot.frame)
    path = Path(__file__).parent / "overlay.jpg"
    cv2.imwrite(str(path), np.hstack(tiles), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
