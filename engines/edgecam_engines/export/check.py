"""Whether an exported model answers as its bundle does, on real photos, before anybody gets the file."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecam_engines.engine import Engine, Frames
from edgecam_engines.errors import EngineError
from edgecam_engines.head import Head
from edgecam_engines.providers import open_session

# Relative L2 error: the same kernels compute the same graph, and only sums in another order differ.
TOLERANCE: Final = 1e-3


class Checked(NamedTuple):
    """How far the exported model is from the bundle, as relative L2 errors."""

    photos: int
    errors: dict[str, float]  # by output


def check_export(
    content: bytes, engine: Engine, head: Head, frames: Frames, *, outputs: list[str], fuse: bool
) -> Checked:
    """Run both on the frames, (n, h, w, 3). Raises EngineError when an output or a label differs."""
    import onnxruntime

    session = open_session(onnxruntime, content, "the exported model", fuse=fuse)
    image = session.get_inputs()[0]
    size = image.shape[0] if isinstance(image.shape[0], int) else len(frames)
    answers: dict[str, list[NDArray[Any]]] = {name: [] for name in outputs}
    # A fixed batch leaves out the last photos that do not fill one.
    frames = frames[: max(len(frames) // size, 1) * size]
    for start in range(0, len(frames), size):
        made = session.run(outputs, {image.name: frames[start : start + size]})
        for name, value in zip(outputs, made, strict=True):
            answers[name].append(value)
    got = {name: np.concatenate(values) for name, values in answers.items()}
    wanted = _by_bundle(engine, head, frames, outputs)
    errors = {name: _error(got[name], wanted[name], name) for name in outputs}
    return Checked(len(frames), errors)


def _by_bundle(engine: Engine, head: Head, frames: Frames, outputs: list[str]) -> dict[str, NDArray[Any]]:
    features = engine.infer(frames)
    logits = head.logits(features)
    made = {"features": features, "logits": logits, "probabilities": head.probabilities(logits)}
    if "cam" in outputs:
        every = [head.cam(features, [k] * len(frames)) for k in range(len(head.classes))]
        made["cam"] = np.stack(every, axis=1)
    return made


def _error(got: NDArray[Any], wanted: NDArray[Any], name: str) -> float:
    if got.shape != wanted.shape or got.dtype != np.float32:
        raise _differs(f"its {name} are {got.dtype} {got.shape}, not float32 {wanted.shape}")
    error = float(np.linalg.norm(got - wanted) / max(float(np.linalg.norm(wanted)), 1e-30))
    if not error <= TOLERANCE:
        raise _differs(f"its {name} are off by {error:.2%}")
    return error


def _differs(how: str) -> EngineError:
    return EngineError(
        f"The exported model does not answer as the bundle does: {how}.\n"
        f"Nothing was written. Export another precision (--precision fp32), and please report this."
    )
