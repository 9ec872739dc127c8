"""What the doctor says about one subject."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One subject of the report."""

    name: str
    status: Status  # "ok"; "note": works, with something to know; "problem": edgecam cannot work
    found: str
    todo: str = ""  # what to do; "" for nothing
