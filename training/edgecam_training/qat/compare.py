"""How far a rounded network is from the float one, by the gate's own measures."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgecam_calibration.maps import cam_ious, summarise
from edgecam_training.model import Model
from edgecam_training.qat.losses import top_maps
from edgecam_training.qat.student import Student


class Distance(NamedTuple):
    """One profile against the float network on the same photos."""

    kind: str
    agreement: float  # share of photos with the same label
    cam_iou: float  # mean
    cam_iou_p10: float

    def __str__(self) -> str:
        return (
            f"{self.kind} agreement {self.agreement:.1%}, CAM IoU {self.cam_iou:.3f} "
            f"(10th percentile {self.cam_iou_p10:.3f})"
        )


class Answers(NamedTuple):
    labels: NDArray[np.int64]  # (n,)
    maps: NDArray[np.float32]  # (n, gh, gw) of the float network's class


@torch.inference_mode()
def distances(
    student: Student, teacher: Model, frames: NDArray[np.uint8], *, batch: int = 32
) -> list[Distance]:
    """Every profile of the student against the teacher on frames (n, h, w, 3)."""
    device = next(teacher.parameters()).device
    photos = [torch.from_numpy(np.array(frames[i : i + batch])) for i in range(0, len(frames), batch)]
    wanted = [teacher(some.to(device)) for some in photos]
    tops = [teacher.logits(features).argmax(dim=1) for features in wanted]
    reference = _answers(teacher, wanted, tops)
    found = []
    for kind in student.kinds:
        rounded = [student(some.to(device), kind) for some in photos]
        answers = _answers(teacher, rounded, tops)
        ious = cam_ious(reference.maps, answers.maps, (frames.shape[1], frames.shape[2]))
        iou = summarise(ious, rng=np.random.default_rng(0))
        same = float((answers.labels == reference.labels).mean())
        found.append(Distance(kind, same, iou.mean, iou.p10))
    return found


def _answers(model: Model, features: list[Tensor], tops: list[Tensor]) -> Answers:
    weight, _ = model.classify.effective()
    labels = torch.cat([model.logits(f).argmax(dim=1) for f in features])
    maps = torch.cat([top_maps(weight, f, top) for f, top in zip(features, tops, strict=True)])
    return Answers(labels.cpu().numpy(), maps.cpu().numpy())
