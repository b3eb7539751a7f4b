"""Large answers are sent compressed to whoever takes it."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

_LARGE: Final = 8_192
"""Bytes; below that a body takes a packet or a few either way."""

_TYPES: Final = frozenset({"application/json", "application/yaml", "text/csv", "text/plain"})
"""Not the console's pages: beside what a stranger may have chosen they hold a form's secret, whose letters a compressed
page's length would give away."""


@web.middleware
async def compression(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have a large body compressed. What is streamed says so itself."""
    response = await handler(request)
    if (
        isinstance(response, web.Response)
        and isinstance(response.body, bytes)
        and len(response.body) >= _LARGE
        and response.content_type in _TYPES
        and not response.compression
    ):
        response.enable_compression()
        response.headers["Vary"] = "Accept-Encoding"
    return response
