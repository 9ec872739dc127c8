"""The rows of the ablation: what each changes in one plain recipe, all under the same budget."""

from typing import Any, Final

from edgecam_training.mixing import MIXES
from edgecam_training.options import Options

# Cross-entropy and nothing else: the class activation maps of Zhou et al. (arXiv:1512.04150). Small enough
# for the whole table to take at most four hours on two cores.
PLAIN: Final = Options(
    input_height=128,
    input_width=128,
    head="plain",
    epochs=8,
    batch=16,
    lr_backbone=1e-3,
    frozen_stages=3,
    small_share=0.0,
    mix="none",
    clean_epochs=1,
    er=0.0,
    ecr=0.0,
    shared_map=0.0,
    pretrained_share=0.0,
)

_SEAM: Final[dict[str, Any]] = {"er": 0.1, "ecr": 0.1}
_PCM: Final[dict[str, Any]] = {**_SEAM, "rvmin": 0.1, "distil": 0.1}
ROWS: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    **{name: {"mix": name} for name in MIXES},
    "ER": {"er": 0.1},
    "ER, ECR": _SEAM,
    "ER, ECR, min-pooling": {**_SEAM, "rvmin": 0.1},
    "SEAM, PCM by pairs": {**_PCM, "seam_pcm": "pairs"},
    "SEAM, linear PCM": {**_PCM, "seam_pcm": "linear"},
    "cutmix, ER, ECR": {"mix": "cutmix", **_SEAM},
    "Mixup-CAM": {"mix": "mixup", "cam_entropy": 0.02, "cam_concentration": 2e-4},
    "linear head": {"head": "linear"},
    "experts' head": {"head": "moe"},
    "trained at 3/4 size": {"train_scale": 0.75},
    "shared map": {"shared_map": 1.0},
    "pretrained weights averaged in": {"pretrained_share": 0.15},
    "cutmix, ER, ECR, linear head": {"mix": "cutmix", **_SEAM, "head": "linear"},
    "all of these": {"mix": "cutmix", **_SEAM, "head": "linear", "shared_map": 1.0},
    "all, pretrained weights averaged in": {
        "mix": "cutmix",
        **_SEAM,
        "head": "linear",
        "shared_map": 1.0,
        "pretrained_share": 0.15,
    },
    "snapmix, shared map": {"mix": "snapmix", "shared_map": 1.0},
    "snapmix, linear head, shared map": {"mix": "snapmix", "head": "linear", "shared_map": 1.0},
}
DEFAULT: Final = "all, pretrained weights averaged in"  # what Options() switches on
