"""The scenarios by name."""

from typing import Final

SINGLE_STREAM: Final = "single-stream"
MULTI_STREAM: Final = "multi-stream"
OFFLINE: Final = "offline"
SERVER: Final = "server"
CAMERA: Final = "camera"
SOAK: Final = "soak"
SCENARIOS: Final = (SINGLE_STREAM, MULTI_STREAM, OFFLINE, SERVER, CAMERA, SOAK)
OPEN: Final = (SERVER, CAMERA)
MLPERF: Final = {
    SINGLE_STREAM: "SingleStream",
    MULTI_STREAM: "MultiStream",
    OFFLINE: "Offline",
    SERVER: "Server",
}
FIGURE: Final = {SINGLE_STREAM: 90, MULTI_STREAM: 99}  # the percentile that MLPerf ranks by
STREAMS: Final = 8  # frames in a query of MLPerf's MultiStream
