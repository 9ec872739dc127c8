"""The few CUDA calls that an engine needs, and the question asked before any of them: is there a GPU?

TensorRT's libraries crash where CUDA has no device, so `probe` comes first, always. It goes through
NVIDIA's own bindings (`cuda-python`) or, where only that is installed, through `pycuda`.
"""

import re
from typing import Final, NamedTuple

from edgecam_engines.cuda.calls import Cuda, Device, version_of
from edgecam_engines.cuda.nvidia import CudaPython
from edgecam_engines.cuda.pycuda import PyCuda
from edgecam_engines.errors import BackendUnavailable


class Probe(NamedTuple):
    """What `probe` found: a device, or the reason in words why there is none."""

    device: Device | None
    reason: str  # "" when there is a device


def probe() -> Probe:
    """Ask CUDA for its first device. Never raises, and touches nothing of TensorRT."""
    return _open()[1]


def open_cuda() -> tuple[Cuda, Device]:
    """CUDA and its first device. Raises BackendUnavailable that says why there is none."""
    cuda, found = _open()
    if cuda is None or found.device is None:
        raise BackendUnavailable(
            f"TensorRT needs an NVIDIA GPU, and CUDA cannot use one here: {found.reason}.\n"
            f"`edgecam doctor` lists what is missing. To use this machine's processor instead:\n"
            f"    edgecam build-engine RUN --out NAME.edgecam --backend onnxruntime"
        )
    return cuda, found.device


def device_key(device: Device | None = None) -> str:
    """The folder name for plans of one kind of GPU, such as "orin-sm87". Without one, this machine's.

    Raises BackendUnavailable when it is asked for this machine's and there is no GPU.
    """
    chosen = device or open_cuda()[1]
    slug = re.sub(r"[^a-z0-9]+", "-", chosen.name.lower()).strip("-") or "gpu"
    return f"{slug}-sm{chosen.compute_capability.replace('.', '')}"


def _open() -> tuple[Cuda | None, Probe]:
    """The first binding that is installed, and what it found. Never raises."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        return _open_pycuda()
    cuda = CudaPython(runtime)
    try:
        return cuda, Probe(cuda.device(), "")
    except Exception as error:  # some versions of the bindings raise RuntimeError where libcuda is missing
        return None, Probe(None, _why(cuda, error))


def _open_pycuda() -> tuple[Cuda | None, Probe]:
    try:
        import pycuda.driver
    except ImportError:
        return None, Probe(None, _NO_BINDING)
    try:
        cuda = PyCuda(pycuda.driver)
        return cuda, Probe(cuda.device(), "")
    except Exception as error:  # pycuda.driver.Error, but RuntimeError or LogicError in places
        return None, Probe(None, f"pycuda says {str(error) or type(error).__name__}")


def _why(cuda: CudaPython, error: Exception) -> str:
    """The usual reason behind CUDA's own words: no driver at all, or bindings newer than the driver."""
    said = str(error).split("\n", maxsplit=1)[0].rstrip(".")
    try:
        driver, runtime = cuda.call("cudaDriverGetVersion"), cuda.call("cudaRuntimeGetVersion")
    except Exception:
        return f"no NVIDIA driver answers ({said})"
    if not driver:
        return f"no NVIDIA driver is installed ({said})"
    if driver // 1000 < runtime // 1000:
        return (
            f"the driver takes CUDA up to {version_of(driver)} and cuda-python is for {version_of(runtime)}; "
            f"install one that fits it with: pip install 'cuda-python<{driver // 1000 + 1}'"
        )
    return said


_NO_BINDING: Final = (
    "neither cuda-python nor pycuda is installed, through which edgecam talks to it; "
    "install one with: pip install 'edgecam[tensorrt]'"
)
