"""What a finished run leaves: weights, the exported graph, its head, pictures and a report."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.classification.reliability import expected_calibration_error
from edgecam_calibration.classification.temperature import fit_temperature
from edgecam_calibration.pictures import confusion_picture
from edgecam_engines.console import log
from edgecam_engines.files import write_atomically
from edgecam_engines.head import Head, save_head
from edgecam_engines.html import Report
from edgecam_training.data import Split
from edgecam_training.export import export_onnx
from edgecam_training.judge import Judged
from edgecam_training.model import Model
from edgecam_training.options import Options
from edgecam_training.pictures import curves_picture, overlay_sheet
from edgecam_training.sparsity import SMALL, StageSparsity, sparsity

SHEET_PHOTOS = 20


def finish(
    run: Path,
    model: Model,
    options: Options,
    split: Split,
    frames: NDArray[np.uint8],
    judged: Judged,
    history: list[dict[str, Any]],
) -> None:
    """Write everything that `build-engine` and people need into the run folder.

    `frames` (n, h, w, 3) are the validation photos that `judged` is about.
    """
    from safetensors.torch import save

    log.print("Exporting the graph and drawing the pictures.")
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(run / "weights.safetensors", save(tensors))
    weight, bias = (part.detach().numpy() for part in model.classify.effective())
    head = Head(weight, bias, split.classes, fit_temperature(judged.logits, judged.labels).value)
    save_head(head, run / "head.safetensors")
    write_atomically(run / "val_logits.npy", lambda path: np.save(path, judged.logits))
    export_onnx(model, options.input_hw, run / "model.onnx")
    curves_picture(history, run / "curves.png")
    confusion_picture(judged.report.confusion, split.classes, run / "confusion.png")
    overlay_sheet(model, frames, judged, split.classes, _shown(judged), run / "overlays.png")
    stages = sparsity(model) if options.l1 else []
    write_report(run, options, split, judged, head, history, stages)
    for stage in stages:
        log.print(f"{stage.share:6.1%} of {stage.weights:,} weights below {SMALL:g}: {stage.name}")
    log.print(
        f"val top-1 {judged.report.top1:.1%} on {judged.report.n} photos; see {run / 'report.html'}\n"
        f"Build an engine from it:\n    edgecam build-engine {run} --out {run.name}.edgecam",
        markup=False,
    )


def _shown(judged: Judged) -> NDArray[np.int64]:
    """Photos for the sheet: the surest mistakes first, then others spread over the set."""
    wrong = judged.logits.argmax(axis=1) != judged.labels
    sure = judged.logits.max(axis=1) - np.logaddexp.reduce(judged.logits, axis=1)
    mistakes = np.flatnonzero(wrong)[np.argsort(-sure[wrong])][: SHEET_PHOTOS // 4]
    right = np.flatnonzero(~wrong)
    rest = (
        right[np.linspace(0, len(right) - 1, SHEET_PHOTOS - len(mistakes)).astype(int)]
        if len(right)
        else right
    )
    return np.concatenate([mistakes, np.unique(rest)])


def write_report(
    run: Path,
    options: Options,
    split: Split,
    judged: Judged,
    head: Head,
    history: list[dict[str, Any]],
    stages: list[StageSparsity],
) -> None:
    """One page: what was trained on what, how well, the pictures, and the sparsity of `stages` if any."""
    report = Report(f"Training run {run.name}")
    scores = judged.report
    ece = expected_calibration_error(judged.labels, head.probabilities(judged.logits))
    low, high = scores.top1_ci95
    report.text(
        f"{len(split.train)} photos trained it and {scores.n} judged it: {scores.top1:.1%} right "
        f"(95 % interval {low:.1%} to {high:.1%}), macro F1 {scores.macro_f1:.3f}, calibration error "
        f"{scores.ece:.3f}, and {ece:.3f} at the temperature {head.temperature:.2f} that was fitted to these "
        f"photos. {options.backbone} with the {options.head} head, {len(history)} epochs, "
        f"{sum(row['seconds'] for row in history):.0f} s."
    )
    report.picture(run / "curves.png", "Loss and accuracy by epoch")
    report.picture(
        run / "overlays.png", "Validation photos with the map of the class named; mistakes first, in red"
    )
    report.picture(run / "confusion.png", "Confusion matrix: rows are what it is, columns what it was called")
    report.heading("Each class")
    report.table(
        ("Class", "Photos", "Precision", "Recall", "F1", "False positives"),
        [
            (s.name, s.support, f"{s.precision:.1%}", f"{s.recall:.1%}", f"{s.f1:.3f}", f"{s.fpr:.2%}")
            for s in scores.per_class
        ],
    )
    if stages:
        report.heading(f"Sparsity: weights below {SMALL:g} after L1 of {options.l1:g}")
        report.table(
            ("Stage", "Weights", "Below", "Share"), [(*stage, f"{stage.share:.1%}") for stage in stages]
        )
    if split.problems:
        report.heading("Photos left out")
        report.table(("File", "Why"), [(p.path, p.reason) for p in split.problems])
    report.heading("Settings")
    report.table(("Setting", "Value"), sorted(vars(options).items()))
    report.save(run / "report.html")
