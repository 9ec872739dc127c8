"""The network on the validation photos, through the same metrics as every engine."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgecam_calibration.classification.scores import ClassificationReport, classification_report
from edgecam_training.model import Model


class Judged(NamedTuple):
    report: ClassificationReport
    loss: float  # mean cross-entropy, nats
    logits: NDArray[np.float32]  # (n, classes)
    labels: NDArray[np.int64]  # (n,)


@torch.inference_mode()
def judge(
    model: Model,
    frames: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    device: torch.device,
    *,
    batch: int = 64,
) -> Judged:
    """Score frames (n, h, w, 3) that are fitted to the input already."""
    model.eval()
    chunks = [
        model.logits(model(torch.from_numpy(np.array(frames[i : i + batch])).to(device))).cpu()
        for i in range(0, len(frames), batch)
    ]
    logits = torch.cat(chunks)
    report = classification_report(labels, logits.softmax(dim=1).numpy(), classes)
    loss = float(F.cross_entropy(logits, torch.from_numpy(labels)))
    return Judged(report, loss, logits.numpy(), labels)
