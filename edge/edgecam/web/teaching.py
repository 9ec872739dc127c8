"""Teaching, as far as it can be asked for. Names and ids are looked up in tables; labels are checked."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edgecam.sinks.tray import UNLABELLED
from edgecam.teaching.desk import Busy, Desk
from edgecam.teaching.holding import Hold, Taken
from edgecam.web.changes import read_body
from edgecam.web.shelf import Shelf
from edgecam_engines.errors import DataError

ROOT: Final = "/api/teach/"
_PAGE: Final = 64  # characters of what a page calls itself

Facts = dict[str, Any]
Action = Callable[[Facts, str], Awaitable[None]]


class TeachingRoutes:
    """One method a path."""

    def __init__(self, desk: Desk, cameras: Callable[[], list[str]], key: str, tray: Path | None) -> None:
        """`key` is what a change must show; `tray` holds hard examples."""
        self._desk, self._cameras, self._key = desk, cameras, key
        self._shelf = None if tray is None else Shelf(tray / UNLABELLED)
        self._actions: dict[str, Action] = {
            "collect": self._collect,
            "release": self._release,
            "leave": self._leave,
            "mark": self._mark,
            "relabel": self._relabel,
            "remove": self._remove,
            "undo": self._undo,
            "use": self._use,
        }

    @property
    def changing(self) -> frozenset[str]:
        """The paths that change something."""
        return frozenset(ROOT + name for name in self._actions)

    def routes(self) -> list[Route]:
        return [
            Route("/api/teach", self.state),
            Route("/teach/photo.jpg", self.photo),
            Route("/teach/hard.jpg", self.hard),
            *(Route(ROOT + name, self._change(act), methods=["POST"]) for name, act in self._actions.items()),
        ]

    async def state(self, request: Request) -> Response:
        hard = [] if self._shelf is None else await run_in_threadpool(self._shelf.photos)
        told = self._desk.state()
        return JSONResponse(
            {**told, "key": self._key, "tray": self._shelf is not None, "hard": [h._asdict() for h in hard]}
        )

    async def photo(self, request: Request) -> Response:
        return _jpeg(await run_in_threadpool(self._desk.tile, request.query_params.get("id", "")))

    async def hard(self, request: Request) -> Response:
        if self._shelf is None:
            return _jpeg(None)
        try:
            return _jpeg(await run_in_threadpool(self._shelf.small, request.query_params.get("name", "")))
        except DataError:
            return _jpeg(None)

    def _change(self, act: Action) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            body = await read_body(request)
            try:
                await act(body, _text(body, "page", _PAGE))
            except Taken:
                raise HTTPException(
                    409, "Somebody else is teaching on another page. Wait a moment."
                ) from None
            except Busy:
                raise HTTPException(
                    503, "There is more to do than can wait. Try again in a moment."
                ) from None
            except DataError as error:
                raise HTTPException(400, str(error).splitlines()[0]) from None
            return JSONResponse({}, 202)

        return answer

    async def _collect(self, body: Facts, page: str) -> None:
        camera, anyway = _text(body, "camera"), body.get("anyway", False)
        if camera not in self._cameras():
            raise HTTPException(404, "There is no such camera.")
        if not isinstance(anyway, bool):
            raise HTTPException(400, "anyway is true or false.")
        self._desk.hold(Hold(_text(body, "label"), camera, page, anyway))

    async def _release(self, body: Facts, page: str) -> None:
        self._desk.release(page)

    async def _leave(self, body: Facts, page: str) -> None:
        self._desk.leave(page)

    async def _mark(self, body: Facts, page: str) -> None:
        """The answer about an event, or about a photo of the tray, should have been `label`."""
        label = _text(body, "label")
        if "event" in body:
            if not self._desk.say_event(_text(body, "event"), label, page):
                raise HTTPException(404, "The picture of that event is not kept any more.")
            return
        name = _text(body, "hard")
        frame = None if self._shelf is None else await run_in_threadpool(self._shelf.read, name)
        if frame is None:
            raise HTTPException(404, "That photo is not in the tray any more.")
        self._desk.say(lambda: frame, f"tray {name}", label, page)

    async def _relabel(self, body: Facts, page: str) -> None:
        self._desk.relabel(self._known(body), _text(body, "label"), page)

    async def _remove(self, body: Facts, page: str) -> None:
        self._desk.remove(self._known(body), page)

    async def _undo(self, body: Facts, page: str) -> None:
        self._desk.undo(page)

    async def _use(self, body: Facts, page: str) -> None:
        head = _text(body, "head")
        if head not in self._desk.tutors.heads():
            raise HTTPException(404, "There is no such class head.")
        self._desk.use(head, page)

    def _known(self, body: Facts) -> str:
        photo_id = _text(body, "id")
        if not self._desk.knows(photo_id):
            raise HTTPException(404, "That photo is not there any more.")
        return photo_id


def _text(body: Facts, name: str, most: int = 300) -> str:
    found = body.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= most:
        raise HTTPException(400, f"{name} is missing, or no text of 1 to {most} characters.")
    return found


def _jpeg(content: bytes | None) -> Response:
    if content is None:
        raise HTTPException(404, "There is no such picture.")
    return Response(content, media_type="image/jpeg")
