"""The CUDA calls that an engine needs, by whatever binding, and what they take and give."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecam_engines.errors import EngineError

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

    def capture(self, stream: int, work: Callable[[], object]) -> int:
        """Record what `work` puts on the stream as a graph, without running it.

        `work` waits for nothing and allocates nothing. Raises EngineError where it cannot be recorded; the
        stream then takes work as before.
        """
        ...

    def launch(self, graph: int, stream: int) -> None:
        """Put everything that was recorded on the stream, by the addresses it had then."""
        ...

    def discard(self, graph: int) -> None: ...

    def event(self) -> int:
        """A mark that can be put on a stream again and again."""
        ...

    def mark(self, event: int, stream: int) -> None:
        """Put the mark on the stream: it notes when all work before it has happened."""
        ...

    def between(self, first: int, second: int) -> float:
        """Seconds on the GPU's clock between two marks that have happened."""
        ...

    def forget(self, event: int) -> None: ...


def failed(function: str, why: str) -> EngineError:
    return EngineError(
        f"CUDA refused {function}: {why}.\n"
        f"`edgecam doctor` shows the state of the GPU; another program may hold its memory."
    )


def text_of(name: bytes | str) -> str:
    return (name.decode(errors="replace") if isinstance(name, bytes) else name).strip("\0 ")


def version_of(number: int) -> str:
    """CUDA's 12060 -> "12.6"."""
    return f"{number // 1000}.{number % 1000 // 10}"
