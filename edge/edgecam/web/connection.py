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
            _cancel(self._arriving)
            self._arriving = None
        elif self._arriving is None:
            self._arriving = self.loop.call_later(self.limits.request_s, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        # Not close(): that would wait for the client to read what is still to be sent.
        self._stalled = self.loop.call_later(self.limits.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._stalled)
        self._stalled = None

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._arriving)
        _cancel(self._stalled)
        super().connection_lost(exc)

    def _too_many(self) -> bool:
        others = [other for other in self.connections if isinstance(other, Guarded)]
        mine = [other for other in others if _address(other) == _address(self)]
        return len(others) > self.limits.most or len(mine) > self.limits.per_address


def guarded(limits: ConnectionLimits) -> type[Guarded]:
    """The protocol with these limits."""
    return type("Guarded", (Guarded,), {"limits": limits})


def _address(connection: Guarded) -> str:
    return connection.client[0] if connection.client else ""


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
