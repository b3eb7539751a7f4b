"""What the API says of itself: the OpenAPI document, and a page of it to read in a browser."""

import base64
import hashlib
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import orjson
from aiohttp import web

from writer.api import document, reading_page
from writer.api.routes import Access, Answer, Call, Route, declared_in, route, served


class Description:
    """Serves the description of the application that it is given to, made at the first request."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._made: dict[str, Any] | None = None

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer; they take no key."""
        return served(self)

    @route("GET", "/openapi.json", Access.NOBODY_ASKED, Answer(HTTPStatus.OK, dict[str, Any]), tag="description")
    async def openapi(self, _: Call[None]) -> web.Response:
        """This API as an OpenAPI 3.1 document."""
        return web.Response(body=orjson.dumps(self.document()), content_type="application/json")

    @route("GET", "/docs", Access.NOBODY_ASKED, Answer(HTTPStatus.OK, media="text/html"), tag="description")
    async def page(self, _: Call[None]) -> web.Response:
        """The same document as a page."""
        text = reading_page.render(self.document())
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    def document(self) -> dict[str, Any]:
        """The document of all routes that are served and declared."""
        if self._made is None:
            self._made = document.build(served_routes(self._app), version("billing-service"))
        return self._made


def served_routes(app: web.Application) -> list[Route]:
    """The declarations of all that an application serves, HEAD aside."""
    return [declared for one, declared in declared_in(app) if declared is not None and one.method != "HEAD"]


_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(reading_page.STYLE.encode()).digest()).decode()
# The page runs no script and loads nothing: it is only read.
_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
