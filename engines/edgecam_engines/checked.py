"""Each engine answers the golden photos once on each device before it is used; what passed is remembered.

The note lies among the plans, plans/DEVICE/checked.json, since like them it belongs to one device and is
not part of what the bundle's manifest lists. It is no proof against somebody who may write to the bundle:
it saves the time of a check, and whoever can forge it can change the engine as well.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgecam_engines.backends import Model
from edgecam_engines.engine import Engine
from edgecam_engines.errors import BundleDamaged, OutputError, WrongAnswers
from edgecam_engines.files import write_json
from edgecam_engines.golden import TOLERANCES, Answers, Golden, Tolerance, answer, deviation
from edgecam_engines.head import Head

NOTE: Final = "checked.json"


class Device(NamedTuple):
    """What an engine runs on here, as far as it decides what is computed."""

    folder: str  # among the plans
    about: dict[str, str]  # device, library with its version and, for TensorRT, the plan's hash


class Subject(NamedTuple):
    """What is checked: one model of a bundle on one back end."""

    backend: str
    model: Model
    file: str  # relative to the bundle
    fp32: str  # the bundle's FP32 model, whose answers stand in for those of one that was never measured
    sha256: str  # of the model
    answers_sha256: str  # of the golden answers


def check_once(
    engine: Engine,
    subject: Subject,
    device: Device,
    load: Callable[[], tuple[Golden, Head]],
    *,
    min_cam_iou: float,
) -> None:
    """Let the engine answer the golden photos, unless it did so on this device before.

    `min_cam_iou` is the gate's bound, for a model that has no answers of its own and is held against
    FP32's. Raises WrongAnswers.
    """
    note = subject.model.plans / device.folder / NOTE
    wanted = {**device.about, "model_sha256": subject.sha256, "answers_sha256": subject.answers_sha256}
    key = f"{subject.backend} {subject.file}"
    known = _read(note)
    if isinstance(entry := known.get(key), dict) and {k: entry.get(k) for k in wanted} == wanted:
        return
    golden, head = load()
    expected, allowed = _expected(golden, subject, min_cam_iou)
    found = deviation(answer(engine, head, golden), expected, engine.input_hw, allowed)
    if complaints := found.complaints(allowed):
        raise _wrong(engine.name, complaints, device)
    figures = {"logits_error": round(found.logits, 5), "cam_iou": round(found.cam_iou, 4)}
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        write_json(note, {**known, key: {**wanted, **figures, "photos": len(golden.frames), "date": when}})
    except OutputError:
        # A bundle that may only be read, such as one in a container's image: it is checked at every start,
        # which takes a moment and harms nobody.
        return


def device_of(backend: str, model: Model) -> Device | None:
    """What this back end runs on here; None where there is nothing that could compute otherwise."""
    look = _LOOKS.get(backend)
    return None if look is None else look(model)


def _cpu(model: Model) -> Device:
    from edgecam_engines.processor import describe_cpu

    device = describe_cpu()
    library = f"onnxruntime {import_module('onnxruntime').__version__}"
    return Device(f"cpu-{_slug(device)}", {"device": device, "library": library})


def _gpu(model: Model) -> Device:
    from edgecam_engines.cuda.find import device_key, open_cuda
    from edgecam_engines.tensorrt.opener import plan_path
    from edgecam_engines.tensorrt.plan import sidecar_path

    _, gpu = open_cuda()
    plan = sidecar_path(plan_path(model, gpu))
    return Device(
        device_key(gpu),
        {
            "device": f"{gpu.name} ({gpu.compute_capability}), CUDA {gpu.driver}",
            "library": f"tensorrt {import_module('tensorrt').__version__}",
            # Each build chooses kernels anew, so each plan is checked.
            "plan": hashlib.sha256(plan.read_bytes()).hexdigest() if plan.is_file() else "none",
        },
    )


_LOOKS: Final[dict[str, Callable[[Model], Device]]] = {"onnxruntime": _cpu, "tensorrt": _gpu}


def _expected(golden: Golden, subject: Subject, min_cam_iou: float) -> tuple[Answers, Tolerance]:
    """What the model said when it was measured; for one that never was, what FP32 said."""
    allowed = TOLERANCES.get(subject.model.precision, TOLERANCES["int8"])
    if subject.file in golden.answers:
        return golden.answers[subject.file], allowed
    if subject.fp32 not in golden.answers:
        raise BundleDamaged(
            f"The golden photos say nothing of {subject.file}, and nothing of FP32.\n"
            f"Copy the bundle again, or build it again with `edgecam build-engine`."
        )
    return golden.answers[subject.fp32], Tolerance(allowed.logits, max(allowed.cam_iou, min_cam_iou))


def _wrong(engine: str, complaints: list[str], device: Device) -> WrongAnswers:
    here = ", ".join(f"{device.about[key]}" for key in ("library", "device"))
    return WrongAnswers(
        f"{engine} answers the bundle's golden photos otherwise than when it was measured: "
        f"{'; '.join(complaints)}.\n"
        f"Its file is the one that was measured, so it is this machine that computes something else "
        f"({here}).\n"
        f"Build it here, where it is measured again, or run it as it is, unmeasured:\n"
        f"    edgecam build-engine RUN --out NAME.edgecam\n"
        f"    edgecam run --skip-check --bundle NAME.edgecam"
    )


def _read(note: Path) -> dict[str, Any]:
    """What is remembered; nothing where the note is missing or no note."""
    try:
        if note.stat().st_size > 1 << 20:
            return {}
        document = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _slug(text: str) -> str:
    """A name for a folder; short, and another one for every other text."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    return f"{words}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
