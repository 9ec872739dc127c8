"""What can be asked for. Paths are these and no others; a name in a query is looked up in a table."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, cast, get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from edgecam.web import streams
from edgecam.web.hub import Hub
from edgecam.web.jpeg import Variant
from edgecam.web.lasting import Lasting
from edgecam.web.news import Follower, follow
from edgecam.web.page_files import PageFile
from edgecam.web.pictures import Picture
from edgecam.web.pulse import wait

FIRST_S: Final = 1.5  # for a snapshot's frame to come


class Routes:
    """One method a path."""

    def __init__(self, hub: Hub, page: dict[str, PageFile], more: Sequence[Route] = ()) -> None:
        """`more` can be asked for as well."""
        self._hub, self._page, self._more = hub, page, more

    def app(self) -> Starlette:
        """The application, without its guard."""
        routes = [
            Route("/", self.index),
            Route("/favicon.svg", self.asset("favicon.svg")),
            Route("/stream.mjpg", self.stream),
            Route("/live", self.live),
            Route("/snapshot.jpg", self.snapshot),
            Route("/thumbnail.jpg", self.thumbnail),
            Route("/api/state", self.state),
            Route("/api/history", self.history),
            Route("/events", self.events),
            Route("/metrics", self.metrics),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            *self._more,
            *(Route(f"/page/{name}", self.asset(name)) for name in self._page if not name.endswith(".html")),
        ]
        app = Starlette(routes=routes)
        app.router.redirect_slashes = False  # it would send a browser to whatever host the request names
        return app

    # -- the page

    async def index(self, request: Request) -> Response:
        return _file(self._page["index.html"])

    def ask(self) -> Response:
        """The form that asks for the token."""
        return _file(self._page["login.html"], 401)

    def asset(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def send(request: Request) -> Response:
            return _file(self._page[name])

        return send

    # -- pictures

    async def stream(self, request: Request) -> Response:
        camera, variant = self._camera(request), _variant(request, "cam")
        shown = streams.mjpeg(self._watch(camera, variant))
        media = f"multipart/x-mixed-replace; boundary={streams.BOUNDARY}"
        return Lasting(shown, self._hub.watchers, media)

    async def live(self, request: Request) -> Response:
        shown = streams.live(self._watch(self._camera(request), "none"))
        media = "application/octet-stream"
        return Lasting(shown, self._hub.watchers, media)

    async def snapshot(self, request: Request) -> Response:
        camera, variant = self._camera(request), _variant(request, "none")
        if why := self._hub.board.stale(camera):
            raise HTTPException(503, f"There is no fresh frame of {camera}: {why}.")
        picture = await self._fresh(camera, variant)
        if picture is None:
            raise HTTPException(503, f"There is no fresh frame of {camera}: none was answered in time.")
        return Response(picture.jpeg, media_type="image/jpeg")

    async def thumbnail(self, request: Request) -> Response:
        event = request.query_params.get("event", "")
        pictures = self._hub.pictures
        until = self._hub.board.now() + FIRST_S
        # An event is told at once, its picture is made meanwhile.
        while pictures.thumbnails.waiting(event) and self._hub.board.now() < until:
            await wait(pictures.pulse.next(), 0.1)
        picture = pictures.thumbnails.get(event)
        if picture is None:
            raise HTTPException(404, "There is no picture of such an event.")
        return Response(picture, media_type="image/jpeg")

    # -- words and numbers

    async def state(self, request: Request) -> Response:
        return JSONResponse(self._hub.state())

    async def history(self, request: Request) -> Response:
        camera = self._camera(request)
        seconds = [second._asdict() for second in self._hub.board.seconds(camera)]
        return JSONResponse({"camera": camera, "seconds": seconds})

    async def events(self, request: Request) -> Response:
        timeline = self._hub.timeline
        known = request.headers.get("last-event-id")
        if known is None:
            position = 0 if request.query_params.get("history") == "1" else timeline.last
        else:
            position = timeline.position(known)
        follower = Follower(
            self._hub.board, timeline, position, lambda: self._hub.described, lambda: self._hub.lessons
        )
        told = follow(follower, self._hub.news, self._hub.board, self._ending)
        return Lasting(told, self._hub.followers, "text/event-stream")

    async def metrics(self, request: Request) -> Response:
        return Response(self._hub.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def healthz(self, request: Request) -> Response:
        stale = self._hub.board.unhealthy()
        if not self._hub.board.cameras():
            stale = {"": "no camera was opened yet"}
        words = [f"{camera}: {why}".removeprefix(": ") for camera, why in stale.items()]
        return PlainTextResponse("\n".join(words or ["ok"]) + "\n", 503 if words else 200)

    async def readyz(self, request: Request) -> Response:
        ready = self._hub.board.answered()
        return PlainTextResponse("ok\n" if ready else "no answer yet\n", 200 if ready else 503)

    # -- what they share

    def _ending(self) -> bool:
        return self._hub.ending

    def _watch(self, camera: str, variant: Variant) -> AsyncIterator[Picture]:
        return streams.pictures(self._hub.pictures, camera, variant, self._ending)

    def _camera(self, request: Request) -> str:
        """The camera that was asked for, or the first."""
        known = self._hub.board.cameras()
        if not known:
            raise HTTPException(503, "No camera was opened yet.")
        wanted = request.query_params.get("camera", known[0])
        if wanted not in known:
            raise HTTPException(404, "There is no such camera; /api/state names those there are.")
        return wanted

    async def _fresh(self, camera: str, variant: Variant) -> Picture | None:
        """A frame that came after the question; of a camera that is answered rarely, the newest one."""
        pictures, now = self._hub.pictures, self._hub.board.now
        before, until = pictures.taken(camera), now() + FIRST_S
        newest = None
        while (left := until - now()) > 0 and not self._hub.ending:
            beat = pictures.pulse.next()
            pictures.want(camera, variant)
            newest = pictures.newest(camera, variant)
            if newest is not None and newest.number > before:
                return newest
            await wait(beat, left)
        told = self._hub.board.told(camera)
        # Never a frame from before the camera was lost.
        if newest is None or newest.number < pictures.taken(camera) or told is None:
            return None
        return newest if newest.result.captured_at >= told.status.since - 1.0 else None


def _variant(request: Request, default: Variant) -> Variant:
    asked = request.query_params.get("overlay", default)
    if asked not in get_args(Variant):
        raise HTTPException(400, "overlay is one of: cam, none.")
    return cast(Variant, asked)


def _file(file: PageFile, status: int = 200) -> Response:
    return Response(file.content, status, media_type=file.media_type)
