"""Every setting of a training run: one frozen dataclass, checked once, saved beside the result."""

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from edgecam_engines.errors import TrainingError
from edgecam_engines.files import read_limited, write_json

_LIMIT: Final = 1 << 20  # bytes of a settings file; ours have a few thousand

QAT_RANGES = ("learned", "average")
SEAM_PCM = ("none", "pairs", "linear")
TUNES = ("head", "bias", "last-stage", "all")
SEAM_TRANSFORMS = ("rescale", "flip", "quarter", "tilt", "shift")


@dataclass(frozen=True)
class Options:
    """Defaults are the recipe that the benchmarks measure. Times are in epochs, sizes in pixels."""

    input_height: int = 224
    input_width: int = 224
    backbone: str = "efficientnet_lite0"
    head: str = "linear"
    dim: int = 192  # channels of the features
    experts: int = 4  # of the head "moe"
    experts_kept: int = 2  # of them for each token
    expert_balance: float = 0.01  # loss term against unevenly used experts
    pretrained: bool = True
    epochs: int = 12
    batch: int = 32  # photos a step, over all processes
    # Means: what they cost changes, what is learned does not (batch norms see each part by itself)
    accumulate: int = 1  # parts that a process works through one after the other in each step
    save_memory: bool = False  # activations of the backbone's stages are computed again, not kept
    checkpoint_minutes: float = 10.0  # how much a killed run loses at most; it is saved after each epoch too
    # Optimizer
    lr_head: float = 2e-3
    lr_backbone: float = 6e-4
    warmup_epochs: float = 0.5
    # Three different things (penalties.py), all on weights alone: no biases, no norm gains.
    weight_decay: float = 0.01  # AdamW's decoupled decay, w <- w - lr * weight_decay * w; in no loss
    l1: float = 0.0  # loss term l1 * sum |w|: drives weights to zero
    l2: float = 0.0  # loss term l2 * sum w^2, whose gradient 2 * l2 * w Adam then rescales
    clip_norm: float = 5.0
    ema: float = 0.998  # decay of the averaged weights, which are what is kept
    # Which parts learn when: first the head alone, then the last stages with it, then all
    head_epochs: int = 1
    last_epochs: int = 1
    frozen_stages: int = 0  # the backbone's first stages, which keep their weights: each makes a step cheaper
    # Regularization
    label_smoothing: float = 0.1
    dropout: float = 0.2
    mix: str = "cutmix"  # names, each with its share of the steps if it has one: "cutmix:0.3,fmix:0.2"
    mix_probability: float = 0.5  # what names without a share divide
    mix_alpha: float | None = None  # of Beta(alpha, alpha); None: what each mix's authors use
    mix_per_sample: bool = False  # a mask for each photo instead of one for the batch
    clean_epochs: int = 3  # the last epochs see unmixed photos
    min_crop: float = 0.35  # smallest area of a random crop, as a share of the photo
    flip_vertical: bool = False  # also mirror upside down: for things that are seen from above
    recolour: float = 1.0  # strength of random brightness, contrast and white balance; 0 for none
    # SEAM: maps of a shrunken copy must agree with the shrunken maps. All weights 0: no second branch
    er: float = 0.1  # weight of the equivariance loss
    ecr: float = 0.1  # weight of the cross loss against the other branch's hardened maps
    rvmin: float = 0.0  # weight of adaptive min-pooling: a quarter of each picture is background
    seam_cls: float = 0.0  # weight of the second branch's own classification
    seam_pcm: str = "none"  # pixel correlation module, in training alone: none, pairs, linear
    distil: float = 0.0  # weight of the plain maps' learning from those that PCM refined
    seam_transform: str = "rescale"  # rescale, flip, quarter, tilt, shift
    seam_scale: float = 0.6
    seam_share: float = 0.25  # share of each batch that goes through the second branch
    # Mixup-CAM. Published: 0.02 and 2e-4
    cam_entropy: float = 0.0  # weight of the entropy over classes in each cell of the maps
    cam_concentration: float = 0.0  # weight of the maps' variance, on axes from -1 to 1
    # What of the pretrained backbone's weights is in the ones that are kept (pretrained.py); 0 for things
    # that look like nothing in ImageNet
    pretrained_share: float = 0.15
    # How strongly every map shows the thing itself, set against what tells its class from the others. Fitted
    # at the very end; no answer depends on it (edgecam_calibration.shared_map)
    shared_map: float = 1.0
    # Training's size as a share of the engine's input: random crops show things larger than whole frames do,
    # and a larger input evens that out (arXiv:1906.06423)
    train_scale: float = 1.0
    # Progressive size: the first epochs see a smaller input, which costs half
    small_scale: float = 0.7
    small_share: float = 0.5  # share of the epochs
    # Quantization-aware training: in the last epochs a copy of the network learns to be rounded to INT8
    qat: int = 0  # how many of the epochs
    qat_lr: float = 1e-4  # highest learning rate of its weights
    qat_ranges: str = "learned"  # or "average": a moving average of what a batch's activations reach
    qat_lr_ranges: float = 5e-3  # of the ranges' logarithms
    # Going on from a finished network: with `tune` that part of it learns, new classes too; with qat alone a
    # copy of it learns to be rounded, on its own photos
    init: str = ""  # a run, or with `tune` also a bundle
    tune: str = ""  # head, bias, last-stage, all
    rehearse: int = 20  # photos of each old class that are shown again, as far as there are some
    # Data
    val_share: float = 0.15  # taken from the photos when there is no val folder
    min_photos: int = 5  # a class with fewer is refused
    balance: float = 0.5  # 0 shows every photo once an epoch, 1 every class equally often
    expect: dict[str, float] = field(default_factory=dict)  # class -> share in use; empty: as shown
    seed: int = 0

    def __post_init__(self) -> None:
        sides = (self.input_height, self.input_width)
        _demand(
            all(s % 32 == 0 and 64 <= s <= 1024 for s in sides),
            f"the input {sides} must be multiples of 32, 64 to 1024",
        )
        _demand(self.epochs >= 1, "epochs must be at least 1")
        _demand(self.batch >= 2, "batch must be at least 2 (batch normalisation needs two photos)")
        _demand(1 <= self.accumulate <= self.batch, "accumulate must be within 1 and batch")
        _demand(self.checkpoint_minutes > 0, "checkpoint_minutes must be above 0")
        _demand(self.dim >= 32 and self.dim % 64 == 0, "dim must be a multiple of 64")
        _demand(
            1 <= self.experts_kept <= self.experts <= 16,
            "experts_kept must be 1 to experts, experts at most 16",
        )
        _demand(self.min_photos >= 2, "min_photos must be at least 2")
        for name in ("label_smoothing", "dropout", "ema", "val_share"):
            _demand(0 <= getattr(self, name) < 1, f"{name} must be at least 0 and below 1")
        for name in (
            "pretrained_share",
            "mix_probability",
            "small_share",
            "seam_share",
            "balance",
            "recolour",
        ):
            _demand(0 <= getattr(self, name) <= 1, f"{name} must be within 0 and 1")
        for name in ("min_crop", "seam_scale", "small_scale", "train_scale"):
            _demand(0 < getattr(self, name) <= 1, f"{name} must be above 0 and at most 1")
        for name, known in (
            ("seam_pcm", SEAM_PCM),
            ("seam_transform", SEAM_TRANSFORMS),
            ("qat_ranges", QAT_RANGES),
        ):
            _demand(getattr(self, name) in known, f"{name} must be one of {', '.join(known)}")
        _demand(
            0 <= self.qat <= self.epochs - (not self.init),
            "qat must be 0 to epochs, less one that trains the network first",
        )
        _demand(not self.tune or self.tune in TUNES, f"tune must be one of {', '.join(TUNES)}")
        _demand(not self.tune or bool(self.init), "tune goes on from a finished network (init)")
        _demand(
            not self.init or bool(self.tune) or self.qat == self.epochs,
            "a run that begins with another (init) and tunes nothing (tune) has qat epochs alone",
        )
        _demand(
            not self.tune or self.qat < self.epochs, "qat must leave an epoch to tune in: it is below epochs"
        )
        _demand(
            not self.tune or not (self.head_epochs or self.last_epochs or self.frozen_stages),
            "tune says what learns, so head_epochs, last_epochs and frozen_stages must be 0",
        )
        _demand(
            self.distil == 0 or self.seam_pcm != "none",
            "distil needs refined maps, so seam_pcm must be pairs or linear",
        )
        _demand(all(share > 0 for share in self.expect.values()), "expected shares must be above 0")
        _demand(self.mix_alpha is None or self.mix_alpha > 0, "mix_alpha must be above 0")
        _demand(self.clip_norm > 0, "clip_norm must be above 0")
        for name in (
            "lr_head",
            "lr_backbone",
            "qat_lr",
            "qat_lr_ranges",
            "weight_decay",
            "l1",
            "l2",
            "expert_balance",
            "er",
            "ecr",
            "rvmin",
            "seam_cls",
            "distil",
            "shared_map",
            "cam_entropy",
            "cam_concentration",
            "warmup_epochs",
            "head_epochs",
            "last_epochs",
            "frozen_stages",
            "clean_epochs",
            "rehearse",
            "seed",
        ):
            _demand(getattr(self, name) >= 0, f"{name} must not be negative")

    @property
    def seam(self) -> bool:
        """Whether there is a second branch."""
        return any((self.er, self.ecr, self.rvmin, self.distil, self.seam_cls))

    @property
    def blended(self) -> float:
        """The share of pretrained weights in what is kept: none where no such weights were there."""
        return self.pretrained_share if self.pretrained and not self.init else 0.0

    @property
    def float_epochs(self) -> int:
        """Those before learning to be rounded."""
        return self.epochs - self.qat

    @property
    def judge_batch(self) -> int:
        """Photos judged at a time; in tuning no more than learn at a time, where memory may be short."""
        return min(64, self.batch) if self.tune else 64

    @property
    def input_hw(self) -> tuple[int, int]:
        return self.input_height, self.input_width

    def train_hw(self, epoch: int) -> tuple[int, int]:
        """Pixels in this epoch: smaller for the first part, a multiple of 32 like every input."""
        small = epoch < round(self.float_epochs * self.small_share)
        return shrunk(self.input_hw, self.train_scale * (self.small_scale if small else 1))


def shrunk(hw: tuple[int, int], scale: float) -> tuple[int, int]:
    """The nearest size to `scale` times (h, w) that the network takes: multiples of 32, at least 64."""
    h, w = (max(64, round(side * scale / 32) * 32) for side in hw)
    return min(h, hw[0]), min(w, hw[1])


def save_options(options: Options, path: Path) -> None:
    write_json(path, asdict(options))


def load_options(path: Path) -> Options:
    """Read what save_options wrote. Raises TrainingError."""
    try:
        stored = json.loads(read_limited(path, _LIMIT).decode())
        unknown = set(stored) - {field.name for field in fields(Options)}
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        defaults = Options()
        for name, value in stored.items():
            _check_type(name, value, getattr(defaults, name))
        return Options(**stored)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise TrainingError(f"{path} does not hold the settings of a run: {error}.") from error


def _check_type(name: str, value: Any, default: Any) -> None:
    """A value is of its default's type; a whole number will do for a fraction, and None for what may be."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}")
    if value is None or default is None:
        fits = default is None and (value is None or type(value) in (int, float, str))
    else:
        fits = type(value) is type(default) or (type(default) is float and type(value) is int)
    if not fits:
        raise ValueError(f"{name} is {value!r:.40}, not of the kind of {default!r:.40}")


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise TrainingError(f"A training setting is wrong: {what}.\nSee `edgecam train --help`.")
