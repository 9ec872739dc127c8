"""A TensorRT and a CUDA that enforce the rules of the real ones and compute with ONNX Runtime.

Work is only done when its stream is waited for, memory has addresses of its own on the GPU's side, what a
run will write is spoilt until then, and what CUDA leaves undefined (freed memory, a missing address, an unset
shape, a graph of a context that is gone) is an AssertionError here.
"""

import enum
import json
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx

from edgecam_engines.cuda.calls import Bytes, Device, Pinned
from edgecam_engines.errors import EngineError
from engines.trt_models import by_onnxruntime

JETSON = Device("Orin", "8.7", integrated=True, driver="12.6", runtime="12.6", binding="cuda-python")
CARD = Device("A card", "8.6", integrated=False, driver="12.6", runtime="12.6", binding="cuda-python")
Work = Callable[[], None]
UPLOAD_S, EXECUTE_S, DOWNLOAD_S = 0.001, 0.004, 0.002  # that each takes the GPU
Queue = list[tuple[Work, Bytes]]  # with the memory that each will write


class FakeCuda:
    """`Cuda` in the processor's memory. `calls` has every call that moves or runs something.

    `graphs=False` is a device that cannot record.
    """

    def __init__(self, pins: int = 1_000, graphs: bool = True) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.memory: dict[int, Bytes] = {}  # by the GPU's address
        self.streams: dict[int, Queue] = {}
        self.graphs: dict[int, Queue] = {}
        self.recording: Queue | None = None
        self.records = 0  # how many graphs were ever made
        self.events: dict[int, float | None] = {}  # when each happened, on the GPU's clock
        self.at_s = 0.0  # that clock
        self._can_record = graphs
        self._pins_left = pins
        self._next = 0x1000

    @property
    def nothing_held(self) -> bool:
        return not (self.memory or self.streams or self.graphs or self.events)

    def at(self, address: int) -> Bytes:
        assert address in self.memory, f"the GPU used {address:#x}, which is freed or not its own"
        return self.memory[address]

    def put(self, stream: int, work: Work, writes: Bytes) -> None:
        """Work that will write to `writes`, where until then nobody must read."""
        assert stream in self.streams, "work was put on a stream that does not exist"
        if self.recording is not None:
            self.recording.append((work, writes))
            return
        writes[:] = 0xAA
        self.streams[stream].append((work, writes))

    def stream(self) -> int:
        self.streams[self._address()] = []
        return self._next

    def destroy(self, stream: int) -> None:
        assert not self.streams.pop(stream), "a stream with work on it was destroyed"

    def synchronize(self, stream: int) -> None:
        assert self.recording is None, "a stream was waited for while it was recorded"
        self.calls.append(("synchronize",))
        work, self.streams[stream] = self.streams[stream], []
        for step, _ in work:
            step()

    def capture(self, stream: int, work: Callable[[], object]) -> int:
        assert self.recording is None, "a stream was recorded twice at once"
        assert not self.streams[stream], "a stream was recorded with work on it"
        if not self._can_record:
            raise EngineError("CUDA refused cudaStreamBeginCapture: operation not supported.\nMore.")
        self.recording = []
        mark = len(self.calls)
        try:
            work()
            self.graphs[self._address()] = self.recording
        finally:
            self.recording = None
            del self.calls[mark:]  # recorded, not called
        self.calls.append(("capture",))
        self.records += 1
        return self._next

    def launch(self, graph: int, stream: int) -> None:
        assert graph in self.graphs, "a graph was launched that does not exist any more"
        self.calls.append(("launch",))
        for step, writes in self.graphs[graph]:
            self.put(stream, step, writes)

    def discard(self, graph: int) -> None:
        del self.graphs[graph]

    def event(self) -> int:
        self.events[self._address()] = None
        return self._next

    def mark(self, event: int, stream: int) -> None:
        assert self.recording is None, "in a graph a mark is something else"
        assert event in self.events, "a mark that does not exist was put on a stream"
        self.events[event] = None

        def happen() -> None:
            self.events[event] = self.at_s

        self.put(stream, happen, np.zeros(0, np.uint8))

    def between(self, first: int, second: int) -> float:
        began, ended = self.events[first], self.events[second]
        assert began is not None, "a mark was read before it had happened"
        assert ended is not None, "a mark was read before it had happened"
        return ended - began

    def forget(self, event: int) -> None:
        del self.events[event]

    def spend(self, seconds: float, work: Work) -> Work:
        """Work that takes the GPU so long."""

        def spent() -> None:
            self.at_s += seconds
            work()

        return spent

    def pin(self, size: int) -> Pinned:
        self._may_allocate()
        if not self._pins_left:
            raise EngineError("CUDA refused cudaHostAlloc: out of memory.")
        self._pins_left -= 1
        return Pinned(self.memory[self.allocate(size)], self._next)

    def unpin(self, pinned: Pinned) -> None:
        self.release(pinned.device)

    def allocate(self, size: int) -> int:
        self._may_allocate()
        self.memory[self._address()] = np.full(size, 0xAA, np.uint8)
        return self._next

    def release(self, address: int) -> None:
        self._may_allocate()
        self.at(address)[:] = 0xDD
        del self.memory[address]

    def upload(self, address: int, host: Bytes, stream: int) -> None:
        self._pinned(host)
        self.calls.append(("upload", host.nbytes))
        to = self.at(address)[: host.nbytes]
        work = self.spend(UPLOAD_S, lambda: np.copyto(self.at(address)[: host.nbytes], host))
        self.put(stream, work, to)

    def download(self, host: Bytes, address: int, stream: int) -> None:
        self._pinned(host)
        self.calls.append(("download", host.nbytes))
        work = self.spend(DOWNLOAD_S, lambda: np.copyto(host, self.at(address)[: host.nbytes]))
        self.put(stream, work, host)

    def _pinned(self, host: Bytes) -> None:
        assert any(np.shares_memory(host, block) for block in self.memory.values()), "not page-locked"

    def _may_allocate(self) -> None:
        assert self.recording is None, "memory was allocated or freed while a stream was recorded"

    def _address(self) -> int:
        self._next += 0x100000
        return self._next


class Severity(enum.Enum):
    ERROR = 1
    INFO = 3
    VERBOSE = 4


class ILogger:
    ERROR, INFO, VERBOSE = Severity.ERROR, Severity.INFO, Severity.VERBOSE


class IProgressMonitor:
    pass


class DataType(enum.Enum):
    FLOAT = 0
    HALF = 1
    UINT8 = 5


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class ProfilingVerbosity(enum.Enum):
    DETAILED = 2


class LayerInformationFormat(enum.Enum):
    JSON = 1


class DeviceType(enum.Enum):
    GPU = 0
    DLA = 1


class BuilderFlag10(enum.Enum):
    FP16 = 0
    INT8 = 1
    GPU_FALLBACK = 3


class BuilderFlag11(enum.Enum):
    GPU_FALLBACK = 0


class ITensor10:
    """With the range that TensorRT 11 took away."""

    def __init__(self, name: str, shape: tuple[int, ...] = (), dtype: Any = None) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype
        self.range: tuple[float, float] | None = None

    def set_dynamic_range(self, low: float, high: float) -> bool:
        self.range = (low, high)
        return True


class ITensor11:
    def __init__(self, name: str, shape: tuple[int, ...] = (), dtype: Any = None) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


_TYPES = {
    onnx.TensorProto.FLOAT: DataType.FLOAT,
    onnx.TensorProto.FLOAT16: DataType.HALF,
    onnx.TensorProto.UINT8: DataType.UINT8,
}


class FakeTensorRT:
    """The module: `tensorrt` of a version. `refuse` names one call of the context that answers False.

    `cores` are those of its DLA; `inspector` is what its engine inspector will tell.
    """

    __name__ = "tensorrt"
    ILogger, IProgressMonitor, DataType, TensorIOMode = ILogger, IProgressMonitor, DataType, TensorIOMode
    NetworkDefinitionCreationFlag = NetworkDefinitionCreationFlag
    MemoryPoolType, ProfilingVerbosity = MemoryPoolType, ProfilingVerbosity
    LayerInformationFormat, DeviceType = LayerInformationFormat, DeviceType

    def __init__(self, cuda: FakeCuda, version: str = "10.3.0", refuse: str = "", cores: int = 0) -> None:
        self.__version__ = version
        self.cuda, self.refuse, self.cores = cuda, refuse, cores
        old = int(version.partition(".")[0]) < 11
        self.BuilderFlag: Any = BuilderFlag10 if old else BuilderFlag11
        self.ITensor: Any = ITensor10 if old else ITensor11
        self.builds = 0
        self.timings_given: list[bytes] = []
        self.configs: list[Config] = []
        self.networks: list[Network] = []
        self.inspector = '{"Layers": []}'

    def Builder(self, logger: Any) -> "Builder":
        return Builder(self, logger)

    def OnnxParser(self, network: Any, logger: Any) -> "Parser":
        return Parser(network, self)

    def Runtime(self, logger: Any) -> "Runtime":
        return Runtime(self, logger)


class Parser:
    def __init__(self, network: Any, trt: FakeTensorRT) -> None:
        self._network, self._trt = network, trt
        self._errors: list[Any] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def parse(self, content: bytes) -> bool:
        model = onnx.load_from_string(content)
        (image,) = model.graph.input
        for number, node in enumerate(model.graph.node):
            if image.name in node.input and node.op_type != "Cast":
                self._errors.append(_parser_error(number, node, "first input has type UInt8"))
        if self._network.typed is False:
            quantized = {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in model.graph.node}
            assert not quantized, "a DLA was given Q/DQ nodes"
        self._network.content = content
        self._network.layers = [_layer(self._trt.ITensor(node.output[0])) for node in model.graph.node]
        self._network.inputs = [_tensor(value) for value in model.graph.input]
        self._network.outputs = [_tensor(value) for value in model.graph.output]
        return not self._errors


class Network:
    """Falsy while it is empty, as the real one is."""

    def __init__(self, typed: bool) -> None:
        self.typed = typed
        self.content = b""
        self.layers: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def __len__(self) -> int:
        return len(self.inputs)

    num_inputs = property(lambda self: len(self.inputs))
    num_outputs = property(lambda self: len(self.outputs))
    num_layers = property(lambda self: len(self.layers))

    def get_input(self, index: int) -> Any:
        return self.inputs[index]

    def get_output(self, index: int) -> Any:
        return self.outputs[index]

    def get_layer(self, index: int) -> Any:
        return self.layers[index]


class Config:
    def __init__(self, trt: FakeTensorRT) -> None:
        self._trt = trt
        self.progress_monitor: Any = None
        self.profiles: list[Any] = []
        self._timings: Any = None
        self.profiling_verbosity: Any = None
        self.default_device_type: Any = DeviceType.GPU
        self.DLA_core = -1
        self.flags: list[str] = []
        self.limits: dict[Any, int] = {}

    def set_flag(self, flag: Any) -> None:
        assert isinstance(flag, self._trt.BuilderFlag)
        self.flags.append(flag.name)

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self.limits[pool] = size

    def add_optimization_profile(self, profile: Any) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, known: bytes) -> Any:
        self._trt.timings_given.append(known)
        return None if known and known != b"timings" else SimpleNamespace(serialize=lambda: b"timings")

    def set_timing_cache(self, timings: Any, ignore_mismatch: bool) -> bool:
        self._timings = timings
        return not ignore_mismatch

    def get_timing_cache(self) -> Any:
        return self._timings


class Profile:
    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self.name, self.shapes = name, shapes


class Builder:
    def __init__(self, trt: FakeTensorRT, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    @property
    def num_DLA_cores(self) -> int:
        return self._trt.cores

    def create_network(self, flags: int) -> Network:
        assert flags in {0, 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED}
        self._trt.networks.append(Network(bool(flags)))
        return self._trt.networks[-1]

    def create_builder_config(self) -> Config:
        self._trt.configs.append(Config(self._trt))
        return self._trt.configs[-1]

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        self._trt.builds += 1
        on_dla = config.default_device_type == DeviceType.DLA
        if not network.typed:
            assert on_dla, "only a DLA needs a network without types"
        if "INT8" in config.flags:
            ranges = [layer.get_output(0).range for layer in network.layers]
            assert any(ranges), "INT8 by flag, and no tensor has a range"
        watch = config.progress_monitor
        watch.phase_start("Building", None, 2)
        watch.phase_start("Timing", "Building", 3)
        for step in range(3):
            if not watch.step_complete("Timing", step):
                return None
        watch.phase_finish("Timing")
        for step in range(2):
            if not watch.step_complete("Building", step):
                return None
        watch.phase_finish("Building")
        about = {
            "version": self._trt.__version__,
            "shapes": config.profiles[0].shapes,
            "dla": config.DLA_core if on_dla else None,
        }
        return json.dumps(about).encode() + b"\n" + network.content


class Runtime:
    def __init__(self, trt: FakeTensorRT, logger: Any) -> None:
        self._trt, self._logger = trt, logger
        self.DLA_core: int | None = None

    def deserialize_cuda_engine(self, plan: bytes) -> "Engine | None":
        head, _, content = plan.partition(b"\n")
        about = json.loads(head)
        if about["version"] != self._trt.__version__:
            self._logger.log(Severity.ERROR, f"the engine plan file is from {about['version']}")
            return None
        assert self.DLA_core == about["dla"], "the runtime was not told which DLA core"
        return Engine(self._trt, self._logger, about["shapes"], content)


class Engine:
    num_io_tensors = 2

    def __init__(self, trt: FakeTensorRT, logger: Any, shapes: list[list[int]], content: bytes) -> None:
        self.trt, self.logger, self.shapes, self.content = trt, logger, shapes, content
        graph = onnx.load_from_string(content).graph
        self.contexts = 0
        # The output comes first: nobody may count on an order.
        self.tensors = [_tensor(graph.output[0]), _tensor(graph.input[0])]

    def get_tensor_name(self, index: int) -> str:
        return str(self.tensors[index].name)

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.OUTPUT if name == self.tensors[0].name else TensorIOMode.INPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return next(tensor.dtype for tensor in self.tensors if tensor.name == name)

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[list[int]]:
        assert (name, profile) == (self.tensors[1].name, 0)
        return self.shapes

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return next(tensor.shape for tensor in self.tensors if tensor.name == name)

    def create_execution_context(self) -> "Context":
        self.contexts += 1
        return Context(self)

    def create_engine_inspector(self) -> "Inspector":
        return Inspector(self)


class Inspector:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.execution_context: Any = None

    def get_engine_information(self, form: LayerInformationFormat) -> str:
        assert form == LayerInformationFormat.JSON
        if self.execution_context is None:  # formats are not known without a context that has shapes
            return '{"Layers": []}'
        return self._engine.trt.inspector


class Context:
    """One execution context. It may be recorded after a run with the shape that it has, not before."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._trt = engine, engine.trt
        self._shape: tuple[int, ...] | None = None
        self._addresses: dict[str, int] = {}
        self._warm = False

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        smallest, _, largest = self._engine.shapes
        fits = all(low <= side <= high for low, side, high in zip(smallest, shape, largest, strict=True))
        self._shape, self._warm = shape, False
        return fits and self._allowed("set_input_shape")

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._trt.cuda.at(address)
        self._addresses[name] = address
        return self._allowed("set_tensor_address")

    def execute_async_v3(self, stream: int) -> bool:
        shape, (output, image) = self._shape, self._engine.tensors
        cuda = self._trt.cuda
        assert shape is not None, "executed before the input's shape was set"
        assert set(self._addresses) == {output.name, image.name}, "executed before all addresses were set"
        if not self._allowed("execute_async_v3"):
            return False
        if cuda.recording is not None:
            assert self._warm, "recorded before the context had run once with this shape"
            if self._trt.refuse == "capture":
                self._engine.logger.log(Severity.ERROR, "no capture today")
                return False
        self._warm = True
        cuda.calls.append(("execute", shape[0]))
        read, write = self._addresses[image.name], self._addresses[output.name]
        # A graph keeps the addresses of now, and does not keep the context.
        ours = weakref.ref(self)

        def work() -> None:
            assert ours() is not None, "a context was let go while its work was on a stream or in a graph"
            _compute(self_engine, shape, cuda.at(read), cuda.at(write))

        self_engine = self._engine
        cuda.put(stream, cuda.spend(EXECUTE_S, work), cuda.at(write))
        return True

    def _allowed(self, call: str) -> bool:
        if self._trt.refuse == call:
            self._engine.logger.log(Severity.ERROR, f"no {call} today")
        return self._trt.refuse != call


def _compute(engine: Engine, shape: tuple[int, ...], read: Bytes, write: Bytes) -> None:
    numbers = np.float16 if engine.tensors[0].dtype == DataType.HALF else np.float32
    given = read[: int(np.prod(shape))].reshape(shape)
    made = by_onnxruntime(engine.content, given).astype(numbers).tobytes()
    write[: len(made)] = np.frombuffer(made, np.uint8)


def _layer(output: Any) -> Any:
    return SimpleNamespace(num_outputs=1, get_output=lambda _: output)


def _tensor(value: Any) -> Any:
    sides = value.type.tensor_type.shape.dim
    shape = tuple(side.dim_value if side.HasField("dim_value") else -1 for side in sides)
    return SimpleNamespace(name=value.name, shape=shape, dtype=_TYPES[value.type.tensor_type.elem_type])


def _parser_error(number: int, node: Any, said: str) -> Any:
    return SimpleNamespace(
        node=lambda: number,
        node_name=lambda: node.name,
        node_operator=lambda: node.op_type,
        desc=lambda: said,
        code=lambda: SimpleNamespace(name="INVALID_NODE"),
    )
