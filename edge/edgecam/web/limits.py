"""How much one address, and all of them together, may ask for. Every table here is bounded."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeVar

ADDRESSES: Final = 1024  # that are remembered; then the one heard of longest ago is forgotten
FORGIVEN_S: Final = 60.0  # wrong tokens are forgotten after this long without one

Value = TypeVar("Value")


class ConnectionLimits(NamedTuple):
    """When a connection is cut off."""

    most: int = 256  # connections in all; more than streams, so that there is always room for a question
    per_address: int = 80
    request_s: float = 10.0  # for a whole request, from its first byte or the connection's beginning
    stall_s: float = 10.0  # for a client to take what was written, which is one picture at most


class Rates:
    """A bucket of requests for each address, refilled steadily."""

    def __init__(self, per_s: float, burst: int, now: Callable[[], float]) -> None:
        self._per_s, self._burst, self._now = per_s, burst, now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests, when

    def allow(self, address: str) -> bool:
        """Take one out of the bucket of this address, if there is one."""
        now = self._now()
        left, at = self._left.pop(address, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._per_s)
        allowed = left >= 1
        _remember(self._left, address, (left - allowed, now))
        return allowed


class Failures:
    """Wrong tokens: each from the same address is answered later than the one before."""

    def __init__(self, now: Callable[[], float], first_s: float = 0.25, longest_s: float = 4.0) -> None:
        self._now, self._first_s, self._longest_s = now, first_s, longest_s
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how many, the last one

    def delay(self, address: str) -> float:
        """Note one more; seconds to wait before it is answered."""
        now = self._now()
        count, at = self._seen.pop(address, (0, now))
        count = 1 if now - at > FORGIVEN_S else count + 1
        _remember(self._seen, address, (count, now))
        return min(self._longest_s, self._first_s * 2.0 ** min(count - 1, 16))


class Full(Exception):
    """Everybody who may watch is watching."""


class Places:
    """A number of places for streams that last."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place. Raises Full."""
        if self.taken >= self.most:
            raise Full
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


def _remember(table: OrderedDict[str, Value], address: str, value: Value) -> None:
    table[address] = value
    while len(table) > ADDRESSES:
        table.popitem(last=False)
