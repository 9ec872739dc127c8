"""One place between two threads: what is handed over is never older than it needs to be."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Ended(Exception):
    """The giver is done and the slot is empty."""


class Slot(Generic[Item]):
    """Holds one item. With `replace`, a new item pushes the old one out; without, the giver waits.

    `ring` is called whenever there may be something to take, for a taker who waits at several slots.
    """

    def __init__(self, *, replace: bool, ring: Callable[[], object] | None = None) -> None:
        self.replaced = 0  # items that were pushed out
        self._replace, self._bell = replace, ring
        self._changed = threading.Condition()
        self._items: list[Item] = []  # none or one
        self._closed = False
        self._abandoned = False
        self._error: BaseException | None = None

    def put(self, item: Item) -> bool:
        """Hand an item over. False when nobody will take it any more."""
        with self._changed:
            while self._items and not self._replace and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                return False
            self.replaced += len(self._items)
            self._items = [item]
            self._ring()
            return True

    def wait_for_room(self) -> bool:
        """Wait until what was handed over is taken. False when nobody will take anything any more."""
        with self._changed:
            while self._items and not self._abandoned:
                self._changed.wait()
            return not self._abandoned

    def take(self, timeout: float) -> Item | None:
        """The item, or None after `timeout` seconds without one.

        Raises what `close` was given, or Ended, once the last item is taken.
        """
        with self._changed:
            if not self._items and not self._closed and timeout > 0:
                self._changed.wait(timeout)
            if self._items:
                self._changed.notify_all()
                return self._items.pop()
            if not self._closed:
                return None
            raise self._error or Ended

    def close(self, error: BaseException | None = None) -> None:
        """The giver's last word; an item that waits can still be taken."""
        with self._changed:
            self._closed, self._error = True, error
            self._ring()

    def abandon(self) -> None:
        """The taker's last word: whoever waits in `put` is let go."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def _ring(self) -> None:
        self._changed.notify_all()
        if self._bell is not None:
            self._bell()
