"""Which moments lie around events. Times are a recording's own, in seconds."""


class Around:
    """From some time before each event's start to some time after its end."""

    def __init__(self, pre_roll_s: float, post_roll_s: float) -> None:
        self._pre_roll_s, self._post_roll_s = pre_roll_s, post_roll_s
        self._going: set[str] = set()  # ids of events that have not ended
        self._until_s = float("-inf")

    def start(self, event_id: str, started_s: float) -> float:
        """An event began; the time from which on moments are wanted."""
        self._going.add(event_id)
        return started_s - self._pre_roll_s

    def end(self, event_id: str, seen_s: float) -> None:
        """It ended; it was last seen at this time."""
        self._going.discard(event_id)
        self._until_s = max(self._until_s, seen_s + self._post_roll_s)

    def wants(self, at_s: float) -> bool:
        """Whether a new moment is wanted."""
        return bool(self._going) or at_s <= self._until_s
