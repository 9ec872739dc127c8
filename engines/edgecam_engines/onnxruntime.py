"""ONNX Runtime on the CPU: the embedded default."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from edgecam_engines.engine import Features, Frames, check_frames
from edgecam_engines.errors import BackendUnavailable, EngineError

# It gives INT8 weights to a convolution that was left in float, wherever its neighbours are quantized.
_REQUANTIZING: Final = "WeightBiasQuantization"


class OnnxRuntimeEngine:
    """An ONNX model with one uint8 (n, h, w, 3) input and one float (n, d, gh, gw) output.

    `fuse=False` computes Q/DQ pairs in float, as written, instead of with this CPU's integer kernels:
    the way to judge a TensorRT model where there is no TensorRT.
    """

    def __init__(self, path: Path, *, name: str, threads: int = 1, fuse: bool = True) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise BackendUnavailable(
                f"ONNX Runtime cannot be imported ({error}).\n"
                f"On a Jetson: install NVIDIA's onnxruntime-gpu wheel for your JetPack. Elsewhere:\n"
                f"    pip install onnxruntime"
            ) from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A spinning worker burns the core that the camera and the overlay need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        if not fuse:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=[_REQUANTIZING]
            )
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            raise EngineError(
                f"ONNX Runtime cannot open {path.name}: {error}\n"
                f"Build the bundle again with `edgecam build-engine`."
            ) from error
        self._session: Any = session
        self.name = name
        self._input, self.input_hw = _input_of(session, path)
        self._output = session.get_outputs()[0].name

    def infer(self, frames: Frames, /) -> Features:
        if self._session is None:
            raise EngineError("This engine is closed. Open the bundle again.")
        check_frames(frames, self.input_hw)
        (features,) = self._session.run([self._output], {self._input: frames})
        return np.asarray(features, dtype=np.float32)

    def close(self) -> None:
        self._session = None


def _input_of(session: Any, path: Path) -> tuple[str, tuple[int, int]]:
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    sides = [side for side in shape[1:3] if isinstance(side, int)]
    if len(shape) != 4 or shape[3] != 3 or len(sides) != 2 or inputs[0].type != "tensor(uint8)":
        raise EngineError(
            f"{path.name} takes {[(i.name, i.type, i.shape) for i in inputs]}, "
            f"not one uint8 image of shape (n, h, w, 3). It was not exported by edgecam."
        )
    return inputs[0].name, (sides[0], sides[1])
