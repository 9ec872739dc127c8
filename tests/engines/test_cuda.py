import ctypes
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgecam_engines.cuda import nvidia as cuda_module
from edgecam_engines.cuda.calls import Device
from edgecam_engines.cuda.find import device_key, open_cuda, probe
from edgecam_engines.cuda.nvidia import CudaPython
from edgecam_engines.cuda.pycuda import PyCuda
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
        self.events: list[int] = []

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

    def cudaEventCreate(self) -> tuple[int, int]:
        self.events.append(len(self.events) + 1)
        return 0, self.events[-1]

    def cudaEventRecord(self, event: int, stream: int) -> tuple[int]:
        assert (event in self.events, stream) == (True, 77)
        return (0,)

    def cudaEventElapsedTime(self, first: int, second: int) -> tuple[int, float]:
        assert {first, second} <= set(self.events)
        return 0, 2.5 * (second - first)  # milliseconds

    def cudaEventDestroy(self, event: int) -> tuple[int]:
        if event not in self.events:
            return (400,)
        self.events.remove(event)
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


def test_marks_are_recorded_and_read_in_seconds() -> None:
    cuda = CudaPython(FakeRuntime())
    stream, first, second = cuda.stream(), cuda.event(), cuda.event()
    cuda.mark(first, stream)
    cuda.mark(second, stream)
    assert cuda.between(first, second) == pytest.approx(0.0025)
    for event in (first, second):
        cuda.forget(event)
    with pytest.raises(EngineError, match="cudaEventDestroy"):
        cuda.forget(first)


class RecordingRuntime(FakeRuntime):
    """With graphs, as handles that are objects, and what is still held of them."""

    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, fail: str = "") -> None:
        super().__init__()
        self.fail = fail
        self.recording = False
        self.held: set[str] = set()
        self.launched = 0

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:
        assert (stream, mode) == (77, 1)
        self.recording = True
        return (801 if self.fail == "begin" else 0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, str]:
        assert self.recording
        self.recording = False
        self.held.add("graph")
        return (901 if self.fail == "end" else 0), "graph"

    def cudaGraphInstantiate(self, graph: str, flags: int) -> tuple[int, int]:
        assert (graph, flags) == ("graph", 0)
        if self.fail == "instantiate":
            return 2, 0
        self.held.add("exec")
        return 0, 99

    def cudaGraphDestroy(self, graph: str) -> tuple[int]:
        self.held.remove(graph)
        return (0,)

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[int]:
        assert (graph, stream) == (99, 77)
        assert "exec" in self.held
        self.launched += 1
        return (0,)

    def cudaGraphExecDestroy(self, graph: int) -> tuple[int]:
        assert graph == 99
        self.held.remove("exec")
        return (0,)


def test_what_is_recorded_can_be_launched_and_is_given_back() -> None:
    runtime = RecordingRuntime()
    cuda = CudaPython(runtime)
    seen: list[bool] = []
    graph = cuda.capture(77, lambda: seen.append(runtime.recording))
    assert seen == [True]
    assert runtime.held == {"exec"}
    cuda.launch(graph, 77)
    cuda.launch(graph, 77)
    assert runtime.launched == 2
    cuda.discard(graph)
    assert runtime.held == set()


@pytest.mark.parametrize("fail", ["begin", "instantiate"])
def test_a_recording_that_fails_is_an_engine_error_and_holds_nothing(fail: str) -> None:
    runtime = RecordingRuntime(fail)
    with pytest.raises(EngineError, match="in CUDA's words"):
        CudaPython(runtime).capture(77, lambda: None)
    assert runtime.held == set()


@pytest.mark.parametrize("fail", ["", "end"])
def test_work_that_cannot_be_recorded_ends_the_recording_and_keeps_its_own_error(fail: str) -> None:
    """As when TensorRT refuses: CUDA then complains about the capture too, which is not the reason."""
    runtime = RecordingRuntime(fail)

    def refuse() -> None:
        raise EngineError("TensorRT refused execute_async_v3")

    with pytest.raises(EngineError, match="execute_async_v3"):
        CudaPython(runtime).capture(77, refuse)
    assert not runtime.recording
    assert runtime.held <= ({"graph"} if fail else set())


class FakeDriver:
    """libcuda's functions on graphs, called as C is: addresses for results, numbers for errors."""

    def __init__(self, fail: str = "") -> None:
        self.fail = fail
        self.calls: list[str] = []

    def cuStreamBeginCapture_v2(self, stream: Any, mode: Any) -> int:
        assert (stream.value, mode.value) == (77, 1)
        return self._result("begin")

    def cuStreamEndCapture(self, stream: Any, graph: Any) -> int:
        graph._obj.value = 5
        return self._result("end")

    def cuGraphInstantiateWithFlags(self, made: Any, graph: Any, flags: Any) -> int:
        assert (graph.value, flags.value) == (5, 0)
        made._obj.value = 0x7F0012345678  # more than 32 bits
        return self._result("instantiate")

    def cuGraphDestroy(self, graph: Any) -> int:
        assert graph.value == 5
        return self._result("destroy")

    def cuGraphLaunch(self, graph: Any, stream: Any) -> int:
        assert (graph.value, stream.value) == (0x7F0012345678, 77)
        return self._result("launch")

    def cuGraphExecDestroy(self, graph: Any) -> int:
        assert graph.value == 0x7F0012345678
        return self._result("discard")

    def cuGetErrorString(self, result: Any, text: Any) -> int:
        text._obj.value = f"error {result.value} in the driver's words".encode()
        return 0

    def _result(self, call: str) -> int:
        self.calls.append(call)
        return 901 if call == self.fail else 0


def test_pycuda_records_graphs_by_the_driver_itself() -> None:
    driver, library = FakePyCuda(), FakeDriver()
    cuda = PyCuda(driver, lambda: library)
    graph = cuda.capture(77, lambda: library.calls.append("work"))
    cuda.launch(graph, 77)
    cuda.discard(graph)
    assert library.calls == ["begin", "work", "end", "instantiate", "destroy", "launch", "discard"]
    assert driver.entered == 0


@pytest.mark.parametrize("fail", ["begin", "end", "instantiate"])
def test_a_recording_of_the_driver_that_fails_tells_its_words_and_leaves_the_context(fail: str) -> None:
    driver = FakePyCuda()
    with pytest.raises(EngineError, match="error 901 in the driver's words"):
        PyCuda(driver, lambda: FakeDriver(fail)).capture(77, lambda: None)
    assert driver.entered == 0


def test_work_that_the_driver_cannot_record_ends_the_recording() -> None:
    library = FakeDriver()

    def refuse() -> None:
        raise EngineError("no")

    with pytest.raises(EngineError, match="no"):
        PyCuda(FakePyCuda(), lambda: library).capture(77, refuse)
    assert library.calls == ["begin", "end", "destroy"]


def missing() -> Any:
    raise OSError("libcuda.so.1: cannot open shared object file")


@pytest.mark.parametrize(
    ("load", "reason"),
    [(missing, "cannot be loaded"), (SimpleNamespace, "too old to have it")],
    ids=["no library", "an old library"],
)
def test_without_the_drivers_graphs_there_is_a_reason(load: Any, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        PyCuda(FakePyCuda(), load).capture(77, lambda: None)


def test_every_call_exists_in_the_bindings_that_are_installed() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="needs the package cuda-python")
    assert cuda_module.__file__ is not None
    source = Path(cuda_module.__file__).read_text()
    calls = set(re.findall(r'"(cuda[A-Z]\w+)"', source))
    assert len(calls) > 10
    assert [call for call in sorted(calls) if not hasattr(runtime, call)] == []
    assert {"cudaStreamBeginCapture", "cudaGraphInstantiate", "cudaGraphLaunch"} <= calls
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

    def Event(self) -> Any:
        self._called()
        return SimpleNamespace(record=lambda stream: self._called(), time_since=self._since)

    def _since(self, earlier: Any) -> float:
        self._called()
        return 2.5  # milliseconds

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
    first, second = cuda.event(), cuda.event()
    cuda.mark(first, stream)
    cuda.mark(second, stream)
    cuda.synchronize(stream)
    assert cuda.between(first, second) == pytest.approx(0.0025)
    cuda.forget(first)
    cuda.forget(second)
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
