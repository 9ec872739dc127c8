"""ONNX Runtime, on the CPU (the embedded default) or on another of its providers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgecam_engines.engine import Features, Frames, check_frames
from edgecam_engines.errors import BackendUnavailable, EngineError
from edgecam_engines.onnx_file import read_onnx
from edgecam_engines.providers import CPU, Provider, open_session

# Frames an execution: more of them are no faster, and ONNX Runtime keeps the memory of the largest.
_MOST: Final = 16
# No edgecam graph has more; a damaged one would have the memory for it asked of us.
_LARGEST_SIDE: Final = 16_384  # pixels
_LARGEST_BATCH: Final = 1024


class OnnxRuntimeEngine:
    """An ONNX model with one uint8 (n, h, w, 3) input and one float (n, d, gh, gw) output.

    `fuse=False` computes Q/DQ pairs in float, as written, instead of with this CPU's integer kernels:
    the way to judge a TensorRT model where there is no TensorRT. `content` is the model where it was read
    already. Large batches are run in pieces that memory bears, or of the size that the model is fixed to.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        threads: int = 1,
        fuse: bool = True,
        content: bytes | None = None,
        provider: Provider = CPU,
        options: Mapping[str, str] | None = None,
    ) -> None:
        content = read_onnx(path) if content is None else content
        session = open_session(
            _library(), content, path.name, provider=provider, options=options, threads=threads, fuse=fuse
        )
        self._session: Any = session
        self.name = name
        self._input, self._fixed, self.input_hw = _input_of(session, path)
        self._output = session.get_outputs()[0].name

    def infer(self, frames: Frames, /) -> Features:
        if self._session is None:
            raise EngineError("This engine is closed. Open the bundle again.")
        check_frames(frames, self.input_hw)
        size = self._fixed or _MOST
        pieces = [self._run(frames[i : i + size]) for i in range(0, len(frames), size)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def close(self) -> None:
        self._session = None

    def _run(self, frames: Frames) -> Features:
        n = len(frames)
        if missing := max(0, (self._fixed or n) - n):
            frames = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
        try:
            (features,) = self._session.run([self._output], {self._input: frames})
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            raise EngineError(
                f"ONNX Runtime could not run {self.name}: {error}\n"
                f"Build the bundle again with `edgecam build-engine`."
            ) from error
        if features.ndim != 4 or len(features) != len(frames) or features.dtype.kind != "f":
            raise EngineError(
                f"{self.name} gave {features.dtype} {features.shape} for {len(frames)} frames, not one "
                f"feature map each, (n, d, gh, gw). It was not exported by edgecam."
            )
        return np.asarray(features[:n], dtype=np.float32)


def _library() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailable(
            f"ONNX Runtime cannot be imported ({error}).\n"
            f"On a Jetson: install NVIDIA's onnxruntime-gpu wheel for your JetPack. Elsewhere:\n"
            f"    pip install onnxruntime"
        ) from error
    return onnxruntime


def _input_of(session: Any, path: Path) -> tuple[str, int | None, tuple[int, int]]:
    """The input's name, the batch that it is fixed to (None when free), and its height and width."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    sides = [side for side in shape[1:3] if isinstance(side, int) and 0 < side <= _LARGEST_SIDE]
    fixed = shape[0] if shape and isinstance(shape[0], int) else None
    absurd = fixed is not None and not 0 < fixed <= _LARGEST_BATCH
    if absurd or len(shape) != 4 or shape[3] != 3 or len(sides) != 2 or inputs[0].type != "tensor(uint8)":
        raise EngineError(
            f"{path.name} takes {[(i.name, i.type, i.shape) for i in inputs]}, "
            f"not one uint8 image of shape (n, h, w, 3). It was not exported by edgecam."
        )
    return inputs[0].name, fixed, (sides[0], sides[1])
