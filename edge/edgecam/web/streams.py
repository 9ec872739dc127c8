"""Pictures that go on: MJPEG for everything that shows it, and for the page pictures with their answers."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Final

from edgecam.web import facts
from edgecam.web.jpeg import Variant, small_heat
from edgecam.web.pictures import Picture, Pictures
from edgecam.web.pulse import wait

BOUNDARY: Final = "edgecam-picture"
LOOK_S: Final = 1.0  # a viewer says at least this often that it still watches


async def pictures(
    source: Pictures, camera: str, variant: Variant, ending: Callable[[], bool]
) -> AsyncIterator[Picture]:
    """Each picture that is newer than the last one, from now on; none while the camera gives none."""
    last = source.taken(camera)
    while not ending():
        beat = source.pulse.next()
        source.want(camera, variant)
        newest = source.newest(camera, variant)
        if newest is not None and newest.number > last:
            last = newest.number
            yield newest
        else:
            await wait(beat, LOOK_S)


async def mjpeg(shown: AsyncIterator[Picture]) -> AsyncIterator[bytes]:
    """multipart/x-mixed-replace; a viewer may read a part's length or look for the boundary."""
    yield f"--{BOUNDARY}\r\n".encode()
    async for picture in shown:
        head = (
            f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n"
            f"X-Timestamp: {picture.result.captured_at:.3f}\r\n\r\n"
        )
        # The boundary comes with the picture before it: else a viewer shows each one a frame late.
        yield b"".join((head.encode(), picture.jpeg, f"\r\n--{BOUNDARY}\r\n".encode()))


async def live(shown: AsyncIterator[Picture]) -> AsyncIterator[bytes]:
    """For each picture one line of JSON with `jpeg` (bytes) and `heat` (rows, columns), then both of them.

    So answer, map and picture are always of the same frame, and whoever shows them can blend as it likes.
    """
    async for picture in shown:
        rows, columns, cells = small_heat(picture.result.heat)
        told = facts.of_result(picture.result, picture.hw)
        head = {"jpeg": len(picture.jpeg), "heat": [rows, columns], "result": told}
        yield b"".join((json.dumps(head, allow_nan=False).encode(), b"\n", picture.jpeg, cells))
