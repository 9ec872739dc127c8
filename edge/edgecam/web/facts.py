"""What is told of answers as JSON; events, alarms and cameras have `edgecam.documents`."""

from edgecam.documents import Document
from edgecam.result import Result, as_json

Facts = Document


def of_result(result: Result, hw: tuple[int, int]) -> Facts:
    """One answer; `size` is width and height of the frame that the box lies in."""
    return {"camera": result.camera, **as_json(result), "size": [hw[1], hw[0]]}
