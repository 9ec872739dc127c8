"""A TensorRT and a CUDA that enforce the rules of the real ones and compute with ONNX Runtime.

Work is only done when its stream is waited for, memory has addresses of its own on the GPU's side, and
what CUDA leaves undefined (freed memory, a missing address, an unset shape) is an AssertionError here.
"""

import enum
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx

from edgecam_engines.cuda import Bytes, Device, Pinned
from edgecam_engines.errors import EngineError
from engines.trt_models import by_onnxruntime

JETSON = Device("Orin", "8.7", integrated=True, driver="12.6", runtime="12.6", binding="cuda-python")
CARD = Device("A card", "8.6", integrated=False, driver="12.6", runtime="12.6", binding="cuda-python")


class FakeCuda:
    """`Cuda` in the processor's memory. `calls` has every call that moves or runs something."""

    def __init__(self, pins: int = 1_000) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.memory: dict[int, Bytes] = {}  # by the GPU's address
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self._pins_left = pins
        self._next = 0x1000

    @property
    def nothing_held(self) -> bool:
        return not self.memory and not self.streams

    def at(self, address: int) -> Bytes:
        assert address in self.memory, f"the GPU used {address:#x}, which is freed or not its own"
        return self.memory[address]

    def put(self, stream: int, work: Callable[[], None]) -> None:
        assert stream in self.streams, "work was put on a stream that does not exist"
        self.streams[stream].append(work)

    def stream(self) -> int:
        self.streams[self._address()] = []
        return self._next

    def destroy(self, stream: int) -> None:
        assert not self.streams.pop(stream), "a stream with work on it was destroyed"

    def synchronize(self, stream: int) -> None:
        self.calls.append(("synchronize",))
        work, self.streams[stream] = self.streams[stream], []
        for step in work:
            step()

    def pin(self, size: int) -> Pinned:
        if not self._pins_left:
            raise EngineError("CUDA refused cudaHostAlloc: out of memory.")
        self._pins_left -= 1
        return Pinned(self.memory[self.allocate(size)], self._next)

    def unpin(self, pinned: Pinned) -> None:
        self.release(pinned.device)

    def allocate(self, size: int) -> int:
        self.memory[self._address()] = np.full(size, 0xAA, np.uint8)
        return self._next

    def release(self, address: int) -> None:
        self.at(address)[:] = 0xDD
        del self.memory[address]

    def upload(self, address: int, host: Bytes, stream: int) -> None:
        self.calls.append(("upload", host.nbytes))
        self.put(stream, lambda: np.copyto(self.at(address)[: host.nbytes], host))

    def download(self, host: Bytes, address: int, stream: int) -> None:
        self.calls.append(("download", host.nbytes))
        self.put(stream, lambda: np.copyto(host, self.at(address)[: host.nbytes]))

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
    """The module: `tensorrt` of a version. `refuse` names one call of the context that answers False."""

    __name__ = "tensorrt"
    ILogger, IProgressMonitor, DataType, TensorIOMode = ILogger, IProgressMonitor, DataType, TensorIOMode
    NetworkDefinitionCreationFlag = NetworkDefinitionCreationFlag

    def __init__(self, cuda: FakeCuda, version: str = "10.3.0", refuse: str = "") -> None:
        self.__version__ = version
        self.cuda, self.refuse = cuda, refuse
        self.builds = 0
        self.timings_given: list[bytes] = []

    def Builder(self, logger: Any) -> "Builder":
        return Builder(self, logger)

    def OnnxParser(self, network: Any, logger: Any) -> "Parser":
        return Parser(network)

    def Runtime(self, logger: Any) -> "Runtime":
        return Runtime(self, logger)


class Parser:
    def __init__(self, network: Any) -> None:
        self._network = network
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
        self._network.content = content
        self._network.inputs = [_tensor(value) for value in model.graph.input]
        self._network.outputs = [_tensor(value) for value in model.graph.output]
        return not self._errors


class Network:
    """Falsy while it is empty, as the real one is."""

    def __init__(self) -> None:
        self.content = b""
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def __len__(self) -> int:
        return len(self.inputs)

    num_inputs = property(lambda self: len(self.inputs))
    num_outputs = property(lambda self: len(self.outputs))

    def get_input(self, index: int) -> Any:
        return self.inputs[index]

    def get_output(self, index: int) -> Any:
        return self.outputs[index]


class Config:
    def __init__(self, trt: FakeTensorRT) -> None:
        self._trt = trt
        self.progress_monitor: Any = None
        self.profiles: list[Any] = []
        self._timings: Any = None

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

    def create_network(self, flags: int) -> Network:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return Network()

    def create_builder_config(self) -> Config:
        return Config(self._trt)

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        self._trt.builds += 1
        config.progress_monitor.phase_start("Building", None, 1)
        if not config.progress_monitor.step_complete("Building", 0):
            return None
        about = {"version": self._trt.__version__, "shapes": config.profiles[0].shapes}
        return json.dumps(about).encode() + b"\n" + network.content


class Runtime:
    def __init__(self, trt: FakeTensorRT, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def deserialize_cuda_engine(self, plan: bytes) -> "Engine | None":
        head, _, content = plan.partition(b"\n")
        about = json.loads(head)
        if about["version"] != self._trt.__version__:
            self._logger.log(Severity.ERROR, f"the engine plan file is from {about['version']}")
            return None
        return Engine(self._trt, self._logger, about["shapes"], content)


class Engine:
    num_io_tensors = 2

    def __init__(self, trt: FakeTensorRT, logger: Any, shapes: list[list[int]], content: bytes) -> None:
        self.trt, self.logger, self.shapes, self.content = trt, logger, shapes, content
        graph = onnx.load_from_string(content).graph
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

    def create_execution_context(self) -> "Context":
        return Context(self)


class Context:
    def __init__(self, engine: Engine) -> None:
        self._engine, self._trt = engine, engine.trt
        self._shape: tuple[int, ...] | None = None
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        smallest, _, largest = self._engine.shapes
        fits = all(low <= side <= high for low, side, high in zip(smallest, shape, largest, strict=True))
        self._shape = shape
        return fits and self._allowed("set_input_shape")

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert self._shape is not None, "an output's shape was asked for before the input's was set"
        output = self._engine.tensors[0]
        assert name == output.name
        return (self._shape[0], *output.shape[1:])

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._trt.cuda.at(address)
        self._addresses[name] = address
        return self._allowed("set_tensor_address")

    def execute_async_v3(self, stream: int) -> bool:
        shape, (output, image) = self._shape, self._engine.tensors
        assert shape is not None, "executed before the input's shape was set"
        assert set(self._addresses) == {output.name, image.name}, "executed before all addresses were set"
        if not self._allowed("execute_async_v3"):
            return False
        self._trt.cuda.calls.append(("execute", shape[0]))
        self._trt.cuda.put(stream, lambda: self._compute(shape))
        return True

    def _compute(self, shape: tuple[int, ...]) -> None:
        output, image = self._engine.tensors
        given = self._trt.cuda.at(self._addresses[image.name])[: int(np.prod(shape))].reshape(shape)
        numbers = np.float16 if output.dtype == DataType.HALF else np.float32
        made = by_onnxruntime(self._engine.content, given).astype(numbers).tobytes()
        self._trt.cuda.at(self._addresses[output.name])[: len(made)] = np.frombuffer(made, np.uint8)

    def _allowed(self, call: str) -> bool:
        if self._trt.refuse == call:
            self._engine.logger.log(Severity.ERROR, f"no {call} today")
        return self._trt.refuse != call


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
