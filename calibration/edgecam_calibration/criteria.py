"""One question of the gate: is a figure within its bound, or beyond, or were too few photos asked?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

State = Literal["passed", "unproven", "refused"]
Unit = Literal["points", "%", "IoU"]

MOST_PHOTOS: Final = 1_000_000  # more than these and "not enough" is no advice
_SLACK: Final = 1e-9  # what rounding may add to a figure that stands exactly at its bound


@dataclass(frozen=True)
class Criterion:
    """One figure, held against its bound by its bad end."""

    name: str
    value: float  # as measured
    bad_end: float  # what it may be in truth: one-sided, 95 %
    bound: float
    most: bool  # the bound is a most ("top-1 may fall by"), else a least ("maps must overlap by")
    n: int
    state: State
    needs: int | None = None  # about how many photos would do, at the same value; None unless unproven
    unit: Unit = "%"  # "points" and "%" are told in hundredths

    def document(self) -> dict[str, Any]:
        """For gate.json."""
        return {
            "name": self.name,
            "state": self.state,
            "value": self.value,
            "bad_end95": self.bad_end,
            "bound": self.bound,
            "bound_is": "most" if self.most else "least",
            "n": self.n,
            "needs": self.needs,
        }

    @property
    def reason(self) -> str:
        """Why it is not passed, in words; empty when it is."""
        if self.state == "passed":
            return ""
        side = ("more" if self.most else "less") + f" than {self._told(self.bound)}"
        if self.state == "refused":
            return f"{self.name} is {self._told(self.value)}, {side}"
        enough = "no number of images proves it" if self.needs is None else f"need about {self.needs}"
        return (
            f"{self.name} is {self._told(self.value)}, but with {self.n} images it may be "
            f"{self._told(self.bad_end)}, {side}: not enough images, {enough}"
        )

    def _told(self, value: float) -> str:
        if self.unit == "IoU":
            return f"{value:.4g}"
        return f"{100 * value:.4g}%" if self.unit == "%" else f"{100 * value:.2f} points"


def judge_figure(
    name: str,
    value: float,
    end: Callable[[float], float],
    bound: float,
    n: int,
    *,
    most: bool,
    unit: Unit = "%",
    same: bool = False,
) -> Criterion:
    """Hold a figure against its bound. `end(n)` is its bad end if n photos had shown the same.

    `same`: the two engines gave the same bits for every photo, so nothing was estimated and the value is
    its own bad end.
    """

    def within(figure: float) -> bool:
        return figure <= bound + _SLACK if most else figure >= bound - _SLACK

    bad_end = value if same else end(n)
    state: State = "refused"
    if within(value):
        state = "passed" if within(bad_end) else "unproven"
    needs = images_needed(lambda count: within(end(count)), n) if state == "unproven" else None
    return Criterion(name, value, bad_end, bound, most, n, state, needs, unit)


def images_needed(enough: Callable[[int], bool], n: int) -> int | None:
    """The least number of photos that are enough, above `n`, rounded up to two digits; None if no million is.

    `enough` is taken to stay true once it is, but for the noise of resampling: so the number that is told
    is itself asked about, and raised until it is enough. About 17 questions.
    """
    low = high = n  # `low` is not enough
    while not enough(high):
        if high >= MOST_PHOTOS:
            return None
        low, high = high, min(2 * high, MOST_PHOTOS)
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    digit = int(10 ** max(0, len(str(high)) - 2))
    told = -(-high // digit) * digit
    while not enough(told):
        told += digit
    return told
