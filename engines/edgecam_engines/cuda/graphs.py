"""CUDA graphs by the driver's C interface, for a binding that has none of its own.

The driver's library is in the process already; only its functions are looked up here.
Source: CUDA Driver API, "Graph Management" and "Stream Management".
"""

import contextlib
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_ulonglong, c_void_p
from functools import cached_property
from typing import Any, Final

from edgecam_engines.cuda.calls import failed
from edgecam_engines.errors import EngineError

_THREAD_LOCAL: Final = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL


class DriverGraphs:
    """Recording and replaying. The caller has entered the context. `load` gives the library, when needed."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    @cached_property
    def _library(self) -> Any:
        try:
            return self._load()
        except OSError as error:
            raise failed("graphs", f"the driver's library cannot be loaded ({error})") from error

    def capture(self, stream: int, work: Callable[[], object]) -> int:
        self._call("cuStreamBeginCapture_v2", c_void_p(stream), c_int(_THREAD_LOCAL))
        try:
            work()
        except BaseException:
            with contextlib.suppress(EngineError):
                self._call("cuGraphDestroy", self._end(stream))
            raise
        recorded, made = self._end(stream), c_void_p()
        try:
            self._call("cuGraphInstantiateWithFlags", byref(made), recorded, c_ulonglong(0))
        finally:
            self._call("cuGraphDestroy", recorded)
        return int(made.value or 0)

    def launch(self, graph: int, stream: int) -> None:
        self._call("cuGraphLaunch", c_void_p(graph), c_void_p(stream))

    def discard(self, graph: int) -> None:
        self._call("cuGraphExecDestroy", c_void_p(graph))

    def _end(self, stream: int) -> c_void_p:
        recorded = c_void_p()
        self._call("cuStreamEndCapture", c_void_p(stream), byref(recorded))
        return recorded

    def _call(self, function: str, *arguments: Any) -> None:
        try:
            call = getattr(self._library, function)
        except AttributeError as error:
            raise failed(function, "this driver is too old to have it") from error
        if result := call(*arguments):
            text = c_char_p()
            self._library.cuGetErrorString(c_int(result), byref(text))
            raise failed(function, (text.value or b"no reason given").decode(errors="replace"))
