"""What is told of an FP16 file: one line for a person, one document beside the model."""

from typing import Any, Final

import numpy as np

from edgecam_calibration.fp16 import HEADROOM, Halved
from edgecam_calibration.lossless import Loss

_SHOWN: Final = 5


def fp16_document(halved: Halved, loss: Loss) -> dict[str, Any]:
    """Islands with their reasons, the largest tensors, and what was lost. Infinite values become None."""
    ranked = sorted(halved.extremes.items(), key=lambda item: -np.nan_to_num(item[1].largest, nan=np.inf))
    return {
        "fp32_nodes": halved.islands,
        "kept_for_range": [
            {"node": risk.node, "why": risk.why, "magnitude": _number(risk.magnitude)}
            for risk in halved.risks
        ],
        "headroom": HEADROOM,
        "largest_tensors": [
            {"tensor": name, "magnitude": _number(found.largest)} for name, found in ranked[:_SHOWN]
        ],
        "check": loss.document(),
    }


def fp16_line(halved: Halved, loss: Loss) -> str:
    """For the terminal."""
    kept = f"FP16: {len(halved.islands)} nodes stay in FP32"
    if halved.risks:
        named = ", ".join(f"{risk.node} {risk.why} ({risk.magnitude:.3g})" for risk in halved.risks[:_SHOWN])
        more = len(halved.risks) - _SHOWN
        kept += f", {len(halved.risks)} of them for their range on your photos: {named}"
        kept += f" and {more} more" if more > 0 else ""
    if loss.features is None:
        return f"{kept}. On {loss.photos} photos FP16 hardware would give values that are not numbers."
    return (
        f"{kept}. On {loss.photos} photos, as FP16 hardware rounds: labels kept {loss.labels:.1%}, CAM IoU "
        f"{loss.cam_iou_mean:.3f} (least {loss.cam_iou_least:.3f}), features off by {loss.features:.2%}; "
        f"{'nothing is lost' if loss.free else 'this is not loss-free'}."
    )


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
