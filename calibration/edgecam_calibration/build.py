"""From a training run to a bundle: write candidates, measure each, ship the fastest that passes."""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecam_calibration.choose import choose
from edgecam_calibration.evaluate import Labelled, PhotoFrames, load_labelled
from edgecam_calibration.gate import Bounds, Reference, Verdict, failed, judge, refer, time_engines
from edgecam_calibration.learned import Learned, find_learned, write_learned
from edgecam_calibration.quantize import TENSORRT, Calibration, cpu_profile, write_fp16
from edgecam_calibration.run import Run, open_run, still_there
from edgecam_calibration.write import write_bundle
from edgecam_engines.backends import Model, open_engine
from edgecam_engines.bundle import Bundle, open_bundle
from edgecam_engines.console import log
from edgecam_engines.engine import Engine, Frame
from edgecam_engines.errors import BackendUnavailable, EngineError, GateRefused
from edgecam_engines.geometry import fit_batch
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.place import WorkFolder, check_out, swap_in

CALIBRATION_PHOTOS: Final = 128
RETRIED: Final = "so INT8 as it was trained (--qat) is tried next"
PRECISIONS: Final = ("fp32", "fp16", "int8")


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
            "candidates": [verdict.document() for verdict in self.verdicts],
        }


def build_engine(
    run: Path,
    out: Path,
    *,
    precision: str = "auto",
    backend: str = "auto",
    calibration: Path | None = None,
    bounds: Bounds | None = None,
    threads: int = 1,
    seed: int = 0,
) -> Built:
    """Build NAME.edgecam from a run. The folder `out` appears whole, or stays as it was.

    Raises GateRefused when the precision asked for does not pass, and the other errors of errors.py.
    """
    opened = open_run(run)
    check_out(out)
    bounds = bounds or Bounds()
    chosen_backend = _backend(backend)
    photos = load_labelled(calibration, opened.head.classes) if calibration else opened.train
    photos = still_there(photos, "calibration")
    calibrators = choose(photos, CALIBRATION_PHOTOS, rng=np.random.default_rng(seed))
    with WorkFolder(out) as folder, ExitStack() as stack:
        models = _write_models(opened, folder, calibrators)

        def opened_here(backend: str, precision: str, file: str) -> Engine:
            model = Model(folder / file, precision, folder / "plans", threads)
            return stack.enter_context(closing(open_engine(backend, model)))

        reference = _reference(opened, opened_here("onnxruntime", "fp32", models["fp32"]))
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
            if not measured(candidate).passed and candidate.precision == "int8" and learned:
                file = _write_learned(learned, candidate.backend, folder, models, calibrators)
                verdicts[-1] = replace(verdicts[-1], reasons=[*verdicts[-1].reasons, RETRIED])
                measured(replace(candidate, file=file))
        latencies = iter(time_engines(engines, reference.frames[0], clock=time.perf_counter))
        verdicts = [replace(v, latency_ms=round(next(latencies), 3)) if v.ran else v for v in verdicts]
        winner = min((v for v in verdicts if v.passed), key=lambda v: v.latency_ms or 0.0, default=None)
        if chosen_backend != "tensorrt" and precision in {"auto", "int8"}:
            verdict = _judge_for_tensorrt(folder / models["int8-tensorrt"], opened, reference, bounds)
            verdicts.append(verdict)
            if not verdict.passed and learned:
                file = _write_learned(learned, "tensorrt", folder, models, calibrators)
                verdicts[-1] = replace(verdict, reasons=[*verdict.reasons, RETRIED])
                verdicts.append(_judge_for_tensorrt(folder / file, opened, reference, bounds))
        for verdict in verdicts:
            log.print(_line(verdict, winner), markup=False)
        if winner is None:
            raise _refusal(verdicts, precision)
        gate = _gate_document(reference, bounds, winner, verdicts)
        shipped = replace(opened, head=replace(opened.head, temperature=winner.temperature))
        write_bundle(folder, shipped, models, gate, reference, calibrators)
        stack.close()
        swap_in(folder, out)
    return Built(open_bundle(out), winner, verdicts)


def _backend(asked: str) -> str:
    if asked != "auto":
        if asked == "tensorrt":
            from edgecam_engines.cuda import open_cuda

            open_cuda()  # raises BackendUnavailable with what is missing
        elif asked != "onnxruntime":
            raise BackendUnavailable(f"There is no back end {asked!r}. Choose onnxruntime, tensorrt or auto.")
        return asked
    from edgecam_engines.cuda import probe

    found = probe()
    if found.device is None:
        log.print(f"Building for ONNX Runtime on the CPU ({found.reason}).", markup=False)
        return "onnxruntime"
    return "tensorrt"


def _write_models(run: Run, folder: Path, calibrators: list[Labelled]) -> dict[str, str]:
    models = {name: f"models/{name}.onnx" for name in ("fp32", "fp16", "int8-cpu", "int8-tensorrt")}
    (folder / "models").mkdir()
    shutil.copyfile(run.model, folder / models["fp32"])
    write_fp16(run.model, folder / models["fp16"])
    calibration = Calibration(run.model, _batches(calibrators, _input_hw(run.model)))
    calibration.write(cpu_profile(), folder / models["int8-cpu"])
    calibration.write(TENSORRT, folder / models["int8-tensorrt"])
    return models


def _write_learned(
    learned: Learned, backend: str, folder: Path, models: dict[str, str], calibrators: list[Labelled]
) -> str:
    """The INT8 model that the trainer made to be rounded, in the place of the calibrated one; its file."""
    profile = TENSORRT if backend == "tensorrt" else cpu_profile()
    (folder / models[profile.name]).unlink()
    models[profile.name] = f"models/{profile.name}-trained.onnx"
    batches = _batches(calibrators[:8], _input_hw(learned.graph))
    write_learned(learned, profile, folder / models[profile.name], batches)
    return models[profile.name]


def _batches(photos: list[Labelled], hw: tuple[int, int], size: int = 8) -> Iterator[NDArray[np.uint8]]:
    frames: list[Frame] = []
    for frame in PhotoFrames(photos, hw, "Calibrating"):
        frames.append(frame)
        if len(frames) == size:
            yield fit_batch(frames, hw)
            frames = []
    if frames:
        yield fit_batch(frames, hw)


def _input_hw(model: Path) -> tuple[int, int]:
    with closing(open_engine("onnxruntime", Model(model, "fp32", model.parent))) as engine:
        return engine.input_hw


def _reference(run: Run, fp32: Engine) -> Reference:
    """FP32's answers, after checking that the exported graph answers as the trainer's network did."""
    frames = PhotoFrames(still_there(run.val, "validation"), fp32.input_hw, "Reading validation photos")
    held = [*frames]
    reference = refer(fp32, run.head, held, np.asarray(frames.labels, dtype=np.int64))
    if len(held) == len(run.val_logits):
        same = (reference.outputs.logits.argmax(axis=1) == run.val_logits.argmax(axis=1)).mean()
        if same < 0.99:
            raise EngineError(
                f"The exported graph agrees with the trained network on only {same:.1%} of the validation "
                f"photos, so one of them has changed since training.\nTrain again, or restore {run.path}."
            )
    return reference


def _candidates(models: dict[str, str], precision: str, backend: str) -> list[Candidate]:
    int8 = models["int8-tensorrt" if backend == "tensorrt" else "int8-cpu"]
    files = {"fp32": models["fp32"], "fp16": models["fp16"], "int8": int8}
    wanted = PRECISIONS if precision == "auto" else (precision,)
    return [Candidate(name, backend, files[name]) for name in wanted]


def _judge_for_tensorrt(model: Path, run: Run, reference: Reference, bounds: Bounds) -> Verdict:
    """The TensorRT profile where there is no TensorRT: its Q/DQ pairs computed in float, never timed.

    This CPU's fused kernels would saturate on it and condemn a sound model.
    """
    with closing(OnnxRuntimeEngine(model, name="tensorrt-int8, in float", fuse=False)) as engine:
        return judge(engine, run.head, reference, bounds, precision="int8", backend="tensorrt")


def _gate_document(
    reference: Reference, bounds: Bounds, winner: Verdict, verdicts: list[Verdict]
) -> dict[str, Any]:
    return {
        "bounds": asdict(bounds),
        "n": len(reference.labels),
        "fp32_top1": reference.top1.value,
        "chosen": winner.precision,
        "backend": winner.backend,
        "temperature": winner.temperature,
        "candidates": [verdict.document() for verdict in verdicts],
    }


def _refusal(verdicts: list[Verdict], precision: str) -> GateRefused:
    reasons = "; ".join(reason for verdict in verdicts for reason in verdict.reasons)
    if precision == "auto":
        what = "No precision passes"
    else:
        what = f"{precision} was asked for and does not pass"
    return GateRefused(
        f"{what}: {reasons}.\nNothing was written. Let edgecam choose what passes with --precision auto, or "
        f"accept the loss by name with --max-drop and --min-cam-iou."
    )


def _line(verdict: Verdict, winner: Verdict | None) -> str:
    mark = "ships  " if verdict is winner else "passes " if verdict.passed else "refused"
    why = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    if not verdict.ran:
        return f"{mark} {verdict.backend} {verdict.precision:<5} it does not run{why}"
    speed = (
        "judged in float, not timed: no TensorRT here"
        if verdict.latency_ms is None
        else f"{verdict.latency_ms:.2f} ms"
    )
    return (
        f"{mark} {verdict.backend} {verdict.precision:<5} top-1 {verdict.top1.value:.1%}, agreement "
        f"{verdict.agreement.value:.1%}, CAM IoU {verdict.cam_iou.mean:.3f} (10th percentile "
        f"{verdict.cam_iou.p10:.3f}), {speed}{why}"
    )
