"""CUDA by NVIDIA's own bindings, `cuda-python`."""

import contextlib
import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from edgecam_engines.cuda.calls import Bytes, Device, Pinned, failed, text_of, version_of
from edgecam_engines.errors import EngineError


class CudaPython:
    """`Cuda` by NVIDIA's `cuda.bindings.runtime`, whose calls return the error first."""

    def __init__(self, runtime: Any) -> None:
        self._rt = runtime

    def call(self, function: str, *arguments: Any) -> Any:
        """Call by name; the values after the error code, or EngineError with CUDA's own words."""
        error, *values = getattr(self._rt, function)(*arguments)
        if error != self._rt.cudaError_t.cudaSuccess:
            _, text = self._rt.cudaGetErrorString(error)
            raise failed(function, text.decode() if isinstance(text, bytes) else str(text))
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

    def capture(self, stream: int, work: Callable[[], object]) -> int:
        # Of this thread alone, so that a camera's decoder in another one may allocate meanwhile.
        mode = self._rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("cudaStreamBeginCapture", stream, mode)
        try:
            work()
        except BaseException:
            with contextlib.suppress(EngineError):  # of the capture, which `work` has spoilt
                self.call("cudaGraphDestroy", self.call("cudaStreamEndCapture", stream))
            raise
        recorded = self.call("cudaStreamEndCapture", stream)
        try:
            return int(self.call("cudaGraphInstantiate", recorded, 0))
        finally:
            self.call("cudaGraphDestroy", recorded)

    def launch(self, graph: int, stream: int) -> None:
        self.call("cudaGraphLaunch", graph, stream)

    def discard(self, graph: int) -> None:
        self.call("cudaGraphExecDestroy", graph)

    def event(self) -> int:
        return int(self.call("cudaEventCreate"))

    def mark(self, event: int, stream: int) -> None:
        self.call("cudaEventRecord", event, stream)

    def between(self, first: int, second: int) -> float:
        return float(self.call("cudaEventElapsedTime", first, second)) / 1e3

    def forget(self, event: int) -> None:
        self.call("cudaEventDestroy", event)

    def device(self) -> Device:
        """Describe device 0. Raises EngineError when there is none."""
        if not self.call("cudaGetDeviceCount"):
            raise failed("cudaGetDeviceCount", "the driver sees no device")
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
            name=text_of(self.call("cudaGetDeviceProperties", 0).name),
            compute_capability=f"{major}.{minor}",
            integrated=bool(integrated),
            driver=version_of(self.call("cudaDriverGetVersion")),
            runtime=version_of(self.call("cudaRuntimeGetVersion")),
            binding="cuda-python",
        )
