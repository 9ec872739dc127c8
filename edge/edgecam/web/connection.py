"""One connection, guarded where uvicorn waits for ever: for a request that trickles in, for a client that
does not read. Both are cut off, and so is a client who opens too many."""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from edgecam.web.limits import ConnectionLimits


class Guarded(H11Protocol):
    """uvicorn's own protocol, and two alarm clocks."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()
    _arriving: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._too_many():
            transport.abort()
            return
        self._arriving = self.loop.call_later(self.limits.request_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._arriving = _off(self._arriving)
        elif self._arriving is None:
            self._arriving = self.loop.call_later(self.limits.request_s, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        # Not close(): that would wait for the client to read what is still to be sent.
        self._stalled = self.loop.call_later(self.limits.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled = _off(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arriving, self._stalled = _off(self._arriving), _off(self._stalled)
        super().connection_lost(exc)

    def _too_many(self) -> bool:
        address = self.client[0] if self.client else ""
        mine = sum(1 for other in self.connections if other.client and other.client[0] == address)
        return len(self.connections) > self.limits.most or mine > self.limits.per_address


def guarded(limits: ConnectionLimits) -> type[Guarded]:
    """The protocol with these limits."""
    return type("Guarded", (Guarded,), {"limits": limits})


def _off(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
