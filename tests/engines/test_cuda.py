import ctypes
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgecam_engines import cuda as cuda_module
from edgecam_engines.cuda import CudaPython, Device, PyCuda, device_key, open_cuda, probe
from edgecam_engines.errors import BackendUnavailable, EngineError

ORIN = Device("Orin", "8.7", integrated=True, driver="12.6", runtime="12.9", binding="cuda-python")


class FakeRuntime:
    """`cuda.bindings.runtime` on an Orin, in the processor's memory."""

    cudaError_t = SimpleNamespace(cudaSuccess=0)
    cudaDeviceAttr = SimpleNamespace(
        cudaDevAttrComputeCapabilityMajor=75, cudaDevAttrComputeCapabilityMinor=76, cudaDevAttrIntegrated=18
    )
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaHostAllocMapped = 2

    def __init__(self, driver: int = 12060, runtime: int = 12090, error: int = 0, devices: int = 1) -> None:
        self._driver, self._runtime, self._error, self._devices = driver, runtime, error, devices
        self.blocks: dict[int, Any] = {}

    def cudaGetErrorString(self, error: int) -> tuple[int, bytes]:
        return 0, f"error {error} in CUDA's words".encode()

    def cudaGetDeviceCount(self) -> tuple[int, int]:
        return self._error, self._devices

    def cudaDriverGetVersion(self) -> tuple[int, int]:
        return 0, self._driver

    def cudaRuntimeGetVersion(self) -> tuple[int, int]:
        return 0, self._runtime

    def cudaDeviceGetAttribute(self, which: int, device: int) -> tuple[int, int]:
        return 0, {75: 8, 76: 7, 18: 1}[which]

    def cudaGetDeviceProperties(self, device: int) -> tuple[int, Any]:
        return 0, SimpleNamespace(name=b"Orin\0\0")

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        block = ctypes.create_string_buffer(size)
        self.blocks[ctypes.addressof(block)] = block
        return self._error, ctypes.addressof(block)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[int, int]:
        assert flags == self.cudaHostAllocMapped
        return self.cudaMalloc(size)

    def cudaHostGetDevicePointer(self, host: int, flags: int) -> tuple[int, int]:
        return 0, host + 1

    def cudaFree(self, address: int) -> tuple[int]:
        del self.blocks[address]
        return (0,)

    cudaFreeHost = cudaFree

    def cudaStreamCreate(self) -> tuple[int, int]:
        return 0, 77

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        assert stream == 77
        return (0,)

    cudaStreamDestroy = cudaStreamSynchronize

    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:
        assert (kind == self.cudaMemcpyKind.cudaMemcpyHostToDevice) == (to == self.card)
        ctypes.memmove(to, source, size)
        return (0,)

    card = 0  # address that plays the GPU's own memory


def install(monkeypatch: pytest.MonkeyPatch, runtime: Any = None, pycuda: Any = None) -> None:
    """Put these bindings in the place of whatever is installed; None is not installed."""
    bindings = ModuleType("cuda.bindings")
    bindings.runtime = runtime  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings if runtime else None)
    package = ModuleType("pycuda")
    package.driver = pycuda  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package if pycuda else None)
    monkeypatch.setitem(sys.modules, "pycuda.driver", pycuda)


def test_asking_never_raises_whatever_this_machine_has() -> None:
    found = probe()
    assert (found.device is None) == bool(found.reason)


def test_a_jetson_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeRuntime())
    assert probe() == (ORIN, "")


@pytest.mark.parametrize(
    ("runtime", "reason"),
    [
        (FakeRuntime(driver=0, error=35), "no NVIDIA driver is installed"),
        (FakeRuntime(driver=12060, runtime=13000, error=35), "pip install 'cuda-python<13'"),
        (FakeRuntime(error=100), "error 100 in CUDA's words"),
        (FakeRuntime(devices=0), "the driver sees no device"),
        (SimpleNamespace(), "no NVIDIA driver answers"),
        (None, "pip install 'edgecam[tensorrt]'"),
    ],
    ids=["no driver", "bindings too new", "other error", "no device", "no libcuda", "no bindings"],
)
def test_what_is_missing_is_said_in_words(monkeypatch: pytest.MonkeyPatch, runtime: Any, reason: str) -> None:
    install(monkeypatch, runtime)
    device, why = probe()
    assert device is None
    assert reason in why
    with pytest.raises(BackendUnavailable, match=re.escape(reason)) as caught:
        open_cuda()
    assert "--backend onnxruntime" in str(caught.value).splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "capability", "key"),
    [("Orin", "8.7", "orin-sm87"), ("NVIDIA RTX 6000 (Ada)", "8.9", "nvidia-rtx-6000-ada-sm89")],
)
def test_the_key_of_a_device_is_a_plain_folder_name(name: str, capability: str, key: str) -> None:
    assert device_key(Device(name, capability, True, "12.6", "12.6", "cuda-python")) == key


def test_without_an_argument_the_key_is_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeRuntime())
    assert device_key() == "orin-sm87"


def test_page_locked_bytes_are_a_view_of_what_cuda_gave_and_go_back_to_it() -> None:
    runtime = FakeRuntime()
    cuda = CudaPython(runtime)
    pinned = cuda.pin(4)
    pinned.host[:] = [1, 2, 3, 4]
    ((address, block),) = runtime.blocks.items()
    assert block.raw == b"\1\2\3\4"
    assert pinned.device == address + 1  # the GPU's address need not be the processor's
    cuda.unpin(pinned)
    assert runtime.blocks == {}


def test_copies_go_there_and_back() -> None:
    runtime = FakeRuntime()
    cuda = CudaPython(runtime)
    stream, pinned = cuda.stream(), cuda.pin(4)
    runtime.card = card = cuda.allocate(4)
    pinned.host[:] = [1, 2, 3, 4]
    cuda.upload(card, pinned.host[:2], stream)
    pinned.host[:] = 0
    cuda.download(pinned.host, card, stream)
    cuda.synchronize(stream)
    np.testing.assert_array_equal(pinned.host, [1, 2, 0, 0])


def test_a_failure_is_told_with_the_call_and_cudas_words() -> None:
    with pytest.raises(EngineError, match=r"cudaMalloc: error 2 in CUDA's words"):
        CudaPython(FakeRuntime(error=2)).allocate(1)


def test_every_call_exists_in_the_bindings_that_are_installed() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="needs the package cuda-python")
    assert cuda_module.__file__ is not None
    source = Path(cuda_module.__file__).read_text()
    calls = set(re.findall(r'"(cuda[A-Z]\w+)"', source))
    assert len(calls) > 10
    assert [call for call in sorted(calls) if not hasattr(runtime, call)] == []
    for owner, name in re.findall(r"self\._rt\.(\w+)\.(\w+)", source):
        assert hasattr(getattr(runtime, owner), name)
    for name in re.findall(r"attribute\.(cudaDev\w+)", source):
        assert hasattr(runtime.cudaDeviceAttr, name)


class FakePyCuda:
    """`pycuda.driver` that notes whether a context is entered when it is called."""

    class Error(Exception):
        pass

    host_alloc_flags = SimpleNamespace(DEVICEMAP=2)
    device_attribute = SimpleNamespace(INTEGRATED=18)

    def __init__(self) -> None:
        self.entered = 0
        self.fail = False
        self.freed: list[str] = []

    def init(self) -> None:
        pass

    def Device(self, number: int) -> Any:
        return SimpleNamespace(
            retain_primary_context=lambda: SimpleNamespace(push=self._push, pop=self._pop),
            compute_capability=lambda: (8, 7),
            name=lambda: "Orin",
            get_attribute=lambda which: int(which == 18),
        )

    def get_driver_version(self) -> int:
        return 12060

    def get_version(self) -> tuple[int, int, int]:
        return 12, 6, 0

    def Stream(self) -> Any:
        self._called()
        return SimpleNamespace(handle=77, synchronize=self._called)

    def mem_alloc(self, size: int) -> Any:
        self._called()
        return Allocation(self, size)

    def pagelocked_empty(self, shape: tuple[int], dtype: Any, mem_flags: int) -> Any:
        self._called()
        assert mem_flags == self.host_alloc_flags.DEVICEMAP
        base = SimpleNamespace(get_device_pointer=lambda: 5, free=lambda: self._free("host"))
        return SimpleNamespace(base=base, shape=shape, dtype=dtype)

    def memcpy_htod_async(self, address: int, host: Any, stream: Any) -> None:
        self._called()
        assert stream.handle == 77

    memcpy_dtoh_async = memcpy_htod_async

    def _free(self, what: str) -> None:
        self._called()
        self.freed.append(what)

    def _push(self) -> None:
        self.entered += 1

    def _pop(self) -> None:
        self.entered -= 1

    def _called(self) -> None:
        assert self.entered == 1, "pycuda was called without its context"
        if self.fail:
            raise self.Error("out of memory")


class Allocation:
    def __init__(self, driver: FakePyCuda, size: int) -> None:
        self._driver, self._size = driver, size

    def __int__(self) -> int:
        return 4096

    def free(self) -> None:
        self._driver._free("device")


def test_pycuda_is_used_where_only_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, pycuda=FakePyCuda())
    cuda, device = open_cuda()
    assert isinstance(cuda, PyCuda)
    assert device == Device("Orin", "8.7", True, "12.6", "12.6", "pycuda")


def test_every_call_of_pycuda_enters_its_context_and_leaves_it() -> None:
    driver = FakePyCuda()
    cuda = PyCuda(driver)
    stream, address, pinned = cuda.stream(), cuda.allocate(4), cuda.pin(4)
    cuda.upload(address, np.zeros(4, np.uint8), stream)
    cuda.download(np.zeros(4, np.uint8), address, stream)
    cuda.synchronize(stream)
    cuda.release(address)
    cuda.unpin(pinned)
    cuda.destroy(stream)
    assert (stream, address, pinned.device) == (77, 4096, 5)
    assert driver.freed == ["device", "host"]
    assert driver.entered == 0


def test_a_failure_of_pycuda_is_an_engine_error_and_leaves_the_context() -> None:
    driver = FakePyCuda()
    cuda = PyCuda(driver)
    driver.fail = True
    with pytest.raises(EngineError, match="out of memory"):
        cuda.allocate(1)
    assert driver.entered == 0


def test_a_pycuda_that_finds_no_gpu_is_a_reason_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise FakePyCuda.Error("cuInit failed: no device")

    driver = FakePyCuda()
    monkeypatch.setattr(driver, "init", refuse)
    install(monkeypatch, pycuda=driver)
    assert probe() == (None, "pycuda says cuInit failed: no device")
