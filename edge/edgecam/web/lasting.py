"""An answer that lasts, and takes one of a few places for as long as it does."""

from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from edgecam.web.limits import Full, Places


class Lasting(StreamingResponse):
    """Sends chunks until they end or the client is gone; 503 when every place is taken."""

    def __init__(self, chunks: AsyncIterator[Any], places: Places, media_type: str) -> None:
        super().__init__(chunks, media_type=media_type)
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._places.one():
                await super().__call__(scope, receive, send)
        except Full:
            words = f"All {self._places.most} places are taken. Close a page that is not needed, or wait.\n"
            await PlainTextResponse(words, 503, {"Retry-After": "5"})(scope, receive, send)
