"""The few CUDA calls that an engine needs, and the question asked before any of them: is there a GPU?

TensorRT's libraries crash where CUDA has no device, so `probe` comes first, always. It goes through
NVIDIA's own bindings (`cuda-python`) or, where only that is installed, through `pycuda`.
"""

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecam_engines.errors import BackendUnavailable, EngineError

Bytes = NDArray[np.uint8]  # (n,)


@dataclass(frozen=True)
class Device:
    """The GPU that CUDA calls number 0."""

    name: str  # "Orin"
    compute_capability: str  # "8.7"
    integrated: bool  # shares its memory with the CPU, as every Jetson does
    driver: str  # newest CUDA version that the driver takes, "12.6"
    runtime: str  # CUDA version of the bindings, "12.9"
    binding: str  # "cuda-python" or "pycuda"


class Probe(NamedTuple):
    """What `probe` found: a device, or the reason in words why there is none."""

    device: Device | None
    reason: str  # "" when there is a device


class Pinned(NamedTuple):
    """Page-locked memory that the CPU and the GPU both see."""

    host: Bytes
    device: int  # the same memory as the GPU addresses it


class Cuda(Protocol):
    """Memory, streams and copies. Addresses are plain integers; every failure is an EngineError."""

    def stream(self) -> int: ...

    def destroy(self, stream: int) -> None: ...

    def synchronize(self, stream: int) -> None:
        """Wait until everything that was put on the stream has happened."""
        ...

    def pin(self, size: int) -> Pinned:
        """Page-locked bytes, mapped into the GPU's address space."""
        ...

    def unpin(self, pinned: Pinned) -> None: ...

    def allocate(self, size: int) -> int:
        """Bytes of the GPU's own memory."""
        ...

    def release(self, address: int) -> None: ...

    def upload(self, address: int, host: Bytes, stream: int) -> None:
        """Put a copy of page-locked bytes to the GPU's own memory on the stream."""
        ...

    def download(self, host: Bytes, address: int, stream: int) -> None:
        """Put a copy of the GPU's own memory to page-locked bytes on the stream."""
        ...


class CudaPython:
    """`Cuda` by NVIDIA's `cuda.bindings.runtime`, whose calls return the error first."""

    def __init__(self, runtime: Any) -> None:
        self._rt = runtime

    def call(self, function: str, *arguments: Any) -> Any:
        """Call by name; the values after the error code, or EngineError with CUDA's own words."""
        error, *values = getattr(self._rt, function)(*arguments)
        if error != self._rt.cudaError_t.cudaSuccess:
            _, text = self._rt.cudaGetErrorString(error)
            raise _failed(function, text.decode() if isinstance(text, bytes) else str(text))
        return values[0] if values else None

    def stream(self) -> int:
        return int(self.call("cudaStreamCreate"))

    def destroy(self, stream: int) -> None:
        self.call("cudaStreamDestroy", stream)

    def synchronize(self, stream: int) -> None:
        self.call("cudaStreamSynchronize", stream)

    def pin(self, size: int) -> Pinned:
        host = int(self.call("cudaHostAlloc", size, self._rt.cudaHostAllocMapped))
        view = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(host))
        return Pinned(view, int(self.call("cudaHostGetDevicePointer", host, 0)))

    def unpin(self, pinned: Pinned) -> None:
        self.call("cudaFreeHost", pinned.host.ctypes.data)

    def allocate(self, size: int) -> int:
        return int(self.call("cudaMalloc", size))

    def release(self, address: int) -> None:
        self.call("cudaFree", address)

    def upload(self, address: int, host: Bytes, stream: int) -> None:
        kind = self._rt.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call("cudaMemcpyAsync", address, host.ctypes.data, host.nbytes, kind, stream)

    def download(self, host: Bytes, address: int, stream: int) -> None:
        kind = self._rt.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.call("cudaMemcpyAsync", host.ctypes.data, address, host.nbytes, kind, stream)

    def device(self) -> Device:
        """Describe device 0. Raises EngineError when there is none."""
        if not self.call("cudaGetDeviceCount"):
            raise _failed("cudaGetDeviceCount", "the driver sees no device")
        attribute = self._rt.cudaDeviceAttr
        major, minor, integrated = (
            int(self.call("cudaDeviceGetAttribute", which, 0))
            for which in (
                attribute.cudaDevAttrComputeCapabilityMajor,
                attribute.cudaDevAttrComputeCapabilityMinor,
                attribute.cudaDevAttrIntegrated,
            )
        )
        return Device(
            name=_text(self.call("cudaGetDeviceProperties", 0).name),
            compute_capability=f"{major}.{minor}",
            integrated=bool(integrated),
            driver=_version(self.call("cudaDriverGetVersion")),
            runtime=_version(self.call("cudaRuntimeGetVersion")),
            binding="cuda-python",
        )


class PyCuda:
    """`Cuda` by `pycuda`. It shares the primary context, which is the one that TensorRT works in."""

    def __init__(self, driver: Any) -> None:
        self._drv = driver
        driver.init()
        self._gpu = driver.Device(0)
        self._context = self._gpu.retain_primary_context()
        self._kept: dict[int, Any] = {}  # pycuda frees what nothing refers to

    @contextmanager
    def _here(self) -> Iterator[Any]:
        # The driver's contexts belong to threads, and pycuda aborts the process at its end when one is
        # still entered: so every call enters and leaves.
        self._context.push()
        try:
            yield self._drv
        except self._drv.Error as error:
            raise _failed("a call of pycuda", str(error)) from error
        finally:
            self._context.pop()

    def stream(self) -> int:
        with self._here() as drv:
            made = drv.Stream()
            self._kept[int(made.handle)] = made
            return int(made.handle)

    def destroy(self, stream: int) -> None:
        with self._here():
            del self._kept[stream]

    def synchronize(self, stream: int) -> None:
        with self._here():
            self._kept[stream].synchronize()

    def pin(self, size: int) -> Pinned:
        with self._here() as drv:
            host = drv.pagelocked_empty((size,), np.uint8, mem_flags=drv.host_alloc_flags.DEVICEMAP)
            return Pinned(host, int(host.base.get_device_pointer()))

    def unpin(self, pinned: Pinned) -> None:
        allocation: Any = pinned.host.base
        with self._here():
            allocation.free()

    def allocate(self, size: int) -> int:
        with self._here() as drv:
            made = drv.mem_alloc(size)
            self._kept[int(made)] = made
            return int(made)

    def release(self, address: int) -> None:
        with self._here():
            self._kept.pop(address).free()

    def upload(self, address: int, host: Bytes, stream: int) -> None:
        with self._here() as drv:
            drv.memcpy_htod_async(address, host, self._kept[stream])

    def download(self, host: Bytes, address: int, stream: int) -> None:
        with self._here() as drv:
            drv.memcpy_dtoh_async(host, address, self._kept[stream])

    def device(self) -> Device:
        """Describe device 0."""
        drv = self._drv
        major, minor = self._gpu.compute_capability()
        return Device(
            name=_text(self._gpu.name()),
            compute_capability=f"{major}.{minor}",
            integrated=bool(self._gpu.get_attribute(drv.device_attribute.INTEGRATED)),
            driver=_version(drv.get_driver_version()),
            runtime=".".join(str(part) for part in drv.get_version()[:2]),
            binding="pycuda",
        )


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
            f"the driver takes CUDA up to {_version(driver)} and cuda-python is for {_version(runtime)}; "
            f"install one that fits it with: pip install 'cuda-python<{driver // 1000 + 1}'"
        )
    return said


_NO_BINDING: Final = (
    "neither cuda-python nor pycuda is installed, through which edgecam talks to it; "
    "install one with: pip install 'edgecam[tensorrt]'"
)


def _failed(function: str, why: str) -> EngineError:
    return EngineError(
        f"CUDA refused {function}: {why}.\n"
        f"`edgecam doctor` shows the state of the GPU; another program may hold its memory."
    )


def _text(name: bytes | str) -> str:
    return (name.decode(errors="replace") if isinstance(name, bytes) else name).strip("\0 ")


def _version(number: int) -> str:
    """CUDA's 12060 -> "12.6"."""
    return f"{number // 1000}.{number % 1000 // 10}"
