"""`edgecam devices`: the cameras of this machine, or a trial of one camera of any kind."""

import time
from contextlib import closing
from typing import Any, Final

from rich.text import Text

from edgecam.sources import open_source
from edgecam.sources.devices import Device, find_devices, uris
from edgecam.sources.source import Source
from edgecam.sources.v4l2 import Format
from edgecam_engines.console import emit, log, out
from edgecam_engines.errors import SourceError

TRIAL_FRAMES: Final = 16
TRIAL_S: Final = 3.0


def devices(camera: str | None, *, json: bool) -> None:
    """List what is here, or open `camera` and say what it gives. Raises SourceError: which stage failed."""
    if camera is not None:
        _show_trial(trial(camera), json)
        return
    found = find_devices()
    if json:
        emit({"devices": [document(*pair) for pair in zip(found, uris(found), strict=True)]})
    else:
        _show(found)


def trial(camera: str) -> dict[str, Any]:
    """What a camera really gives: its size, its rate, whether its frames tell when they were captured."""

    def say(words: str) -> None:
        log.print(words, markup=False)

    with closing(open_source(camera, say)) as source:
        began = time.monotonic()
        times: list[float] = []
        height, width, stamp = 0, 0, None
        while len(times) < TRIAL_FRAMES and time.monotonic() - began < TRIAL_S and source.grab():
            stamp = source.stamp()
            times.append(time.monotonic() if stamp is None else stamp)
            height, width = source.retrieve().shape[:2]
        if not times:
            raise SourceError(f"{source.name} opens, but gives no frame.")
        return {
            "camera": source.name,
            "live": source.live,
            "width": width,
            "height": height,
            "announced_fps": round(source.fps, 2),
            "measured_fps": _rate(source, times),
            "time_stamps": stamp is not None,
        }


def document(device: Device, uri: str) -> dict[str, Any]:
    """What `--json` says of one device."""
    card = device.card
    return {
        "path": str(device.path),
        "camera": uri,
        "name": device.name,
        "driver": card.driver if card else None,
        "bus": card.bus if card else None,
        "same_always": str(device.always) if device.always else None,
        "trouble": device.trouble or None,
        "formats": [
            {
                "format": each.code,
                "description": each.words,
                "sizes": [{"width": m.width, "height": m.height, "fps": list(m.fps)} for m in each.modes],
            }
            for each in (card.formats if card else ())
        ],
    }


def _rate(source: Source, times: list[float]) -> float | None:
    """Frames a second between the first and the last; None for files and for a single frame."""
    passed = times[-1] - times[0]
    return round((len(times) - 1) / passed, 2) if source.live and passed > 0 else None


def _show(found: list[Device]) -> None:
    if not found:
        out.print(
            "This machine shows no camera (no /dev/video* that captures).\n"
            "Plug one in, or try one of the network: edgecam devices rtsp://USER:PASSWORD@ADDRESS/PATH"
        )
    for device, uri in zip(found, uris(found), strict=True):
        out.print(Text(f"{device.path}", style="bold").append(f"  {device.name}", style="default"))
        for line in device.trouble.splitlines():
            out.print(Text(f"    {line}", style="yellow"))
        if device.card is None:
            continue
        out.print(Text(f"    --camera {uri}    {device.card.driver}, {device.card.bus}"))
        if device.always:
            out.print(Text(f"    --camera {device.always}    also when other cameras come and go"))
        for each in device.card.formats:
            out.print(Text(f"    {each.code}  {_sizes(each)}"))


def _sizes(each: Format) -> str:
    return "  ".join(
        f"{m.width}x{m.height}" + (f"@{'/'.join(f'{fps:g}' for fps in m.fps)}" if m.fps else "")
        for m in each.modes
    )


def _show_trial(found: dict[str, Any], json: bool) -> None:
    if json:
        emit(found)
        return
    rate = f"{found['measured_fps'] or found['announced_fps']:g} frames a second"
    stamps = "carry" if found["time_stamps"] else "carry no"
    size = f"{found['width']}x{found['height']}"
    out.print(Text(f"{found['camera']} works: {size}, {rate}; its frames {stamps} time stamps."))
