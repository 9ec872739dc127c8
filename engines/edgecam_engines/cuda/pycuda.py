"""CUDA by `pycuda`, where only that is installed. Its graphs come from the driver itself."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from edgecam_engines.cuda.calls import Bytes, Device, Pinned, failed, text_of, version_of
from edgecam_engines.cuda.graphs import DriverGraphs


class PyCuda:
    """`Cuda` by `pycuda`. It shares the primary context, which is the one that TensorRT works in."""

    def __init__(self, driver: Any, load: Callable[[], Any] = lambda: ctypes.CDLL("libcuda.so.1")) -> None:
        self._drv = driver
        self._graphs = DriverGraphs(load)
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
            raise failed("a call of pycuda", str(error)) from error
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

    def capture(self, stream: int, work: Callable[[], object]) -> int:
        with self._here():
            return self._graphs.capture(stream, work)

    def launch(self, graph: int, stream: int) -> None:
        with self._here():
            self._graphs.launch(graph, stream)

    def discard(self, graph: int) -> None:
        with self._here():
            self._graphs.discard(graph)

    def event(self) -> int:
        with self._here() as drv:
            made = drv.Event()
            self._kept[id(made)] = made  # pycuda does not tell its handle
            return id(made)

    def mark(self, event: int, stream: int) -> None:
        with self._here():
            self._kept[event].record(self._kept[stream])

    def between(self, first: int, second: int) -> float:
        with self._here():
            return float(self._kept[second].time_since(self._kept[first])) / 1e3

    def forget(self, event: int) -> None:
        with self._here():
            del self._kept[event]

    def device(self) -> Device:
        """Describe device 0."""
        drv = self._drv
        major, minor = self._gpu.compute_capability()
        return Device(
            name=text_of(self._gpu.name()),
            compute_capability=f"{major}.{minor}",
            integrated=bool(self._gpu.get_attribute(drv.device_attribute.INTEGRATED)),
            driver=version_of(drv.get_driver_version()),
            runtime=".".join(str(part) for part in drv.get_version()[:2]),
            binding="pycuda",
        )
