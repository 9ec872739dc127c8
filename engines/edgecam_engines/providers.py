"""ONNX Runtime's execution providers under the names of our back ends, and the proof that they run.

ONNX Runtime falls back silently: to the CPU where a provider's library or device is missing, and node by
node where a provider cannot run something. Here what was asked is what runs, or an error says why not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgecam_engines.errors import BackendUnavailable, EngineError


class Provider(NamedTuple):
    """One way of ONNX Runtime to execute a graph."""

    backend: str  # our name for it
    name: str  # ONNX Runtime's
    package: str  # what brings it, where the machine's own distribution does not


CPU: Final = Provider("onnxruntime", "CPUExecutionProvider", "onnxruntime")
CUDA: Final = Provider("onnxruntime-cuda", "CUDAExecutionProvider", "onnxruntime-gpu")
TENSORRT: Final = Provider("onnxruntime-tensorrt", "TensorrtExecutionProvider", "onnxruntime-gpu")
OPENVINO: Final = Provider("onnxruntime-openvino", "OpenVINOExecutionProvider", "onnxruntime-openvino")


def tensorrt_options(precision: str, cache: Path) -> dict[str, str]:
    """Engines and timings are kept in `cache`, a folder of this device, since a build takes minutes.

    The provider builds weakly typed networks, so it must be allowed what the graph's own types ask for.
    """
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(cache),
        "trt_fp16_enable": str(precision == "fp16"),
        "trt_int8_enable": str(precision == "int8"),
    }


# It gives INT8 weights to a convolution that was left in float, wherever its neighbours are quantized.
_REQUANTIZING: Final = "WeightBiasQuantization"


def openvino_options(threads: int) -> dict[str, str]:
    """On the processor, with as many threads as ONNX Runtime itself would be given."""
    return {"device_type": "CPU", "num_of_threads": str(threads)}


def open_session(
    ort: Any,
    content: bytes,
    name: str,
    *,
    provider: Provider = CPU,
    options: Mapping[str, str] | None = None,
    threads: int = 1,
    fuse: bool = True,
) -> Any:
    """An InferenceSession on this provider alone, set for the camera loop; `name` is for errors.

    One thread unless asked otherwise, and none that spins while it waits: a frame is followed by a pause,
    and the core is needed by camera and overlay.
    Raises BackendUnavailable (not built in, or no device) and EngineError (it cannot run the graph).
    """
    if provider.name not in ort.get_available_providers():
        raise _missing(ort, provider)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.inter_op.allow_spinning", "0")
    settings.log_severity_level = 3
    if provider is not CPU:
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if not fuse:
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(
            content,
            settings,
            providers=[(provider.name, dict(options or {}))],
            enable_fallback=0,
            disabled_optimizers=[_REQUANTIZING],
        )
    except Exception as error:  # ONNX Runtime has no common base class for its errors
        raise _refused(provider, name, str(error).strip()) from error
    session.disable_fallback()  # nor later, when a call fails
    _check(session, provider, name)
    return session


def _check(session: Any, provider: Provider, name: str) -> None:
    """What runs is what was asked. The list of providers tells the library; the nodes tell the rest."""
    active = session.get_providers()
    if not active or active[0] != provider.name:
        raise BackendUnavailable(
            f"ONNX Runtime did not start {provider.name}; {name} would run on {', '.join(active)}.\n"
            f"Its library or its device is missing: `edgecam doctor` lists what this machine has. To use the "
            f"processor, say so:\n    --backend onnxruntime"
        )
    assigned = getattr(session, "get_provider_graph_assignment_info", None)  # since ONNX Runtime 1.24
    if provider is CPU or assigned is None:
        return
    elsewhere = [
        node.name or node.op_type
        for part in assigned()
        if part.ep_name != provider.name
        for node in part.get_nodes()
    ]
    if elsewhere:
        raise _refused(provider, name, f"it leaves {', '.join(elsewhere[:5])} to the processor")


def _missing(ort: Any, provider: Provider) -> BackendUnavailable:
    here = ", ".join(name.removesuffix("ExecutionProvider") for name in ort.get_available_providers())
    return BackendUnavailable(
        f"This ONNX Runtime ({ort.__version__}) has no {provider.name}; it has: {here}.\n"
        f"On a Jetson: install NVIDIA's onnxruntime-gpu wheel for your JetPack. Elsewhere, since only one "
        f"ONNX Runtime fits into an environment:\n"
        f"    pip uninstall onnxruntime && pip install {provider.package}"
    )


def _refused(provider: Provider, name: str, why: str) -> EngineError:
    if provider is CPU:
        return EngineError(
            f"ONNX Runtime cannot open {name}: {why}\nBuild the bundle again with `edgecam build-engine`."
        )
    return EngineError(
        f"{provider.name} cannot run all of {name}: {why}\n"
        f"It would fall back to the processor node by node, so it is refused. Another back end may do:\n"
        f"    --backend onnxruntime"
    )
