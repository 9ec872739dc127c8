"""From a training run to a bundle: write candidates, measure each, ship the fastest that passes."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgecam_calibration.choose import (
    choose,
    coverage,
    once,
    report_coverage,
    same_contents,
    without_judges,
)
from edgecam_calibration.evaluate import Labelled, PhotoFrames, load_labelled
from edgecam_calibration.gate import (
    Bounds,
    Reference,
    Verdict,
    failed,
    judge,
    refer,
    time_engines,
    winner,
)
from edgecam_calibration.gate_boxes import known_boxes
from edgecam_calibration.gate_words import gate_document, refusal, verdict_line, what_would_help
from edgecam_calibration.learned import find_learned
from edgecam_calibration.mixed.write import read_plan
from edgecam_calibration.models import mixed_target, write_models, write_trained
from edgecam_calibration.run import Run, open_run, still_there
from edgecam_calibration.truth import read_truth
from edgecam_calibration.write import write_bundle
from edgecam_engines.backends import BACKENDS, ROUNDED, Model, is_tensorrt, model_for, open_engine
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.console import log
from edgecam_engines.engine import Engine
from edgecam_engines.errors import BackendUnavailable, DataError, EngineError
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.place import WorkFolder, check_out, swap_in
from edgecam_engines.taught.lock import only_teacher
from edgecam_engines.taught.versions import FOLDER, carry_taught

CALIBRATION_PHOTOS: Final = 128
RETRIED: Final = "so INT8 as it was trained (--qat) is tried next"
PRECISIONS: Final = ("fp32", "fp16", "mixed", "int8")


@dataclass(frozen=True)
class Candidate:
    """One engine that could be shipped."""

    precision: str
    backend: str
    file: str  # relative to the bundle


@dataclass(frozen=True)
class Built:
    """A finished bundle and how it was chosen."""

    bundle: Bundle
    chosen: Verdict
    verdicts: list[Verdict]

    def document(self) -> dict[str, Any]:
        """What `edgecam build-engine --json` prints."""
        return {
            "chosen": self.chosen.precision,
            "backend": self.chosen.backend,
            "state": self.chosen.state,
            "candidates": [verdict.document() for verdict in self.verdicts],
        }


def build_engine(
    run: Path,
    out: Path,
    *,
    precision: str = "auto",
    backend: str = "auto",
    calibration: Path | None = None,
    val: Path | None = None,
    boxes: Path | None = None,
    bounds: Bounds | None = None,
    accept_unproven: bool = False,
    threads: int = 1,
    seed: int = 0,
) -> Built:
    """Build NAME.edgecam from a run. The folder `out` appears whole, or stays as it was.

    `val` holds more photos that nobody trained on, for the gate; `boxes` says where things are in its photos.
    `accept_unproven` lets a candidate ship that too few photos were asked about, which is written down.
    Raises GateRefused when the precision asked for does not pass, and the other errors of errors.py.
    """
    opened = open_run(run)
    check_out(out)
    bounds = bounds or Bounds()
    chosen_backend = _backend(backend)
    judges = _judges(opened, val)
    photos = _to_calibrate_on(calibration, opened.head.classes) if calibration else opened.train
    barred = [*(photo.path for photo in judges), *opened.test]
    photos = without_judges(still_there(photos, "calibration"), barred)
    calibrators = choose(photos, CALIBRATION_PHOTOS, rng=np.random.default_rng(seed))
    report_coverage(coverage(calibrators, photos, opened.head.classes))
    with WorkFolder(out) as folder, ExitStack() as stack:
        mixed = mixed_target(bounds) if precision in {"auto", "mixed"} else None
        models = write_models(opened, folder, calibrators, backend=chosen_backend, mixed=mixed)

        def opened_here(backend: str, precision: str, file: str) -> Engine:
            model = Model(folder / file, precision, folder / "plans", threads)
            return stack.enter_context(closing(open_engine(backend, model)))

        fp32 = opened_here("onnxruntime", "fp32", models["fp32"])
        reference = _reference(opened, fp32, judges, boxes)
        engines: list[Engine] = []  # of those that ran
        verdicts: list[Verdict] = []

        def measured(candidate: Candidate) -> Verdict:
            names = {"precision": candidate.precision, "backend": candidate.backend}
            try:
                engine = opened_here(candidate.backend, candidate.precision, candidate.file)
                verdict = judge(engine, opened.head, reference, bounds, **names)
            except EngineError as error:  # one that cannot be built is refused; the others may pass
                verdict = failed(error, reference, **names)
            verdicts.append(verdict)
            engines.extend([engine] if verdict.ran else [])
            return verdict

        learned = find_learned(run)
        for candidate in _candidates(models, precision, chosen_backend):
            refused = measured(candidate).state == "refused"  # what may ship keeps its file
            if refused and candidate.precision == "int8" and learned:
                file = write_trained(learned, candidate.backend, folder, models, calibrators)
                verdicts[-1] = replace(verdicts[-1], reasons=[*verdicts[-1].reasons, RETRIED])
                measured(replace(candidate, file=file))
        latencies = iter(time_engines(engines, reference.frames[0], clock=time.perf_counter))
        verdicts = [replace(v, latency=next(latencies)) if v.ran else v for v in verdicts]
        best = winner(verdicts, accept_unproven=accept_unproven, fall_back=precision == "auto")
        if not is_tensorrt(chosen_backend):
            for kind in ROUNDED:
                model = models.get(f"{kind}-tensorrt")
                if precision not in {"auto", kind} or model is None:
                    continue
                verdict = _judge_for_tensorrt(folder / model, opened, reference, bounds, kind)
                verdicts.append(verdict)
                if verdict.state == "refused" and kind == "int8" and learned:
                    file = write_trained(learned, "tensorrt", folder, models, calibrators)
                    verdicts[-1] = replace(verdict, reasons=[*verdict.reasons, RETRIED])
                    verdicts.append(_judge_for_tensorrt(folder / file, opened, reference, bounds, kind))
        for verdict in verdicts:
            log.print(verdict_line(verdict, best), markup=False)
        if best is None:
            raise refusal(verdicts, precision, plan=read_plan(folder))
        if advice := what_would_help(verdicts, best):
            log.print(advice, markup=False)
        gate = gate_document(reference, bounds, best, verdicts, accept_unproven=accept_unproven)
        shipped = replace(opened, head=replace(opened.head, temperature=best.temperature))
        write_bundle(folder, shipped, models, gate, reference, verdicts, calibrators)
        stack.close()
        _swap_in(folder, out)
    return Built(open_bundle(out), best, verdicts)


def _swap_in(folder: Path, out: Path) -> None:
    """Put the bundle in its place, with what was taught to the one that stands there."""
    if not (out / FOLDER).is_dir():
        swap_in(folder, out)
        return
    with only_teacher(out, wait=True):
        names = carry_taught(out, folder)
        swap_in(folder, out)
    for name in names:
        log.print(
            f"The head {name!r} was taught to the bundle before. Fit it to this one, from its photos:\n"
            f"    edgecam teach {out} --head {name}",
            markup=False,
        )


def _backend(asked: str) -> str:
    if asked != "auto":
        if is_tensorrt(asked):
            from edgecam_engines.cuda.find import open_cuda

            open_cuda()  # raises BackendUnavailable with what is missing
        elif asked not in BACKENDS or asked == "fixed":
            names = ", ".join(name for name in BACKENDS if name != "fixed")
            raise BackendUnavailable(f"There is no back end {asked!r} to build for. Choose auto, {names}.")
        return asked
    from edgecam_engines.cuda.find import probe

    found = probe()
    if found.device is None:
        log.print(f"Building for ONNX Runtime on the CPU ({found.reason}).", markup=False)
        return "onnxruntime"
    return "tensorrt"


def _to_calibrate_on(folder: Path, classes: Sequence[str]) -> list[Labelled]:
    """A folder's photos; of a whole data set those to train on, where `eval` takes those to test by."""
    train = folder / "train"
    return load_labelled(train if train.is_dir() and train.name not in classes else folder, classes)


def _judges(run: Run, more: Path | None) -> list[Labelled]:
    """The photos that the gate judges by: the run's validation photos, then those of another folder.

    A photo is known by its contents. One that is there twice counts once, since it proves nothing new.
    """
    photos = still_there(run.val, "validation")
    if more is None:
        return photos
    given = load_labelled(more, run.head.classes)
    if seen := same_contents(given, [photo.path for photo in run.train]):
        raise DataError(
            f"{len(seen)} photos of {more} were trained on, for example {seen[0].path}.\n"
            f"An engine is judged by photos that nobody trained on: give --val another folder."
        )
    return photos + [photo for photo in once([*photos, *given]) if photo not in photos]


def _reference(run: Run, fp32: Engine, judges: list[Labelled], boxes: Path | None) -> Reference:
    """FP32's answers, after checking that the exported graph answers as the trainer's network did."""
    frames = PhotoFrames(judges, fp32.input_hw, "Reading validation photos")
    held = [*frames]
    bad = {each.path for each in frames.unreadable}
    photos = [photo for photo in judges if photo.path not in bad]
    reference = refer(fp32, run.head, held, np.asarray(frames.labels, dtype=np.int64))
    trained = len(run.val_logits)
    if [photo.path for photo in photos[:trained]] == [photo.path for photo in run.val]:
        called = reference.outputs.logits[:trained].argmax(axis=1)
        same = (called == run.val_logits.argmax(axis=1)).mean()
        if same < 0.99:
            raise EngineError(
                f"The exported graph agrees with the trained network on only {same:.1%} of the validation "
                f"photos, so one of them has changed since training.\nTrain again, or restore {run.path}."
            )
    if boxes is None:
        return reference
    truth = read_truth(boxes, classes=run.head.classes)
    for problem in truth.problems[:20]:
        log.print(str(problem), markup=False)
    known = known_boxes(truth, photos, reference.labels, run.head.classes, reference.outputs)
    return replace(reference, boxes=known)


def _candidates(models: dict[str, str], precision: str, backend: str) -> list[Candidate]:
    wanted = PRECISIONS if precision == "auto" else (precision,)
    files = {name: models.get(model_for(name, backend)) for name in wanted}
    return [Candidate(name, backend, file) for name, file in files.items() if file]


def _judge_for_tensorrt(
    model: Path, run: Run, reference: Reference, bounds: Bounds, precision: str
) -> Verdict:
    """The TensorRT profile where there is no TensorRT: its Q/DQ pairs computed in float, never timed.

    This CPU's fused kernels would saturate on it and condemn a sound model.
    """
    with closing(OnnxRuntimeEngine(model, name=f"tensorrt-{precision}, in float", fuse=False)) as engine:
        return judge(engine, run.head, reference, bounds, precision=precision, backend="tensorrt")
