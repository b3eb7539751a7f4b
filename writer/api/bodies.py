"""Bodies of requests: each declared once, with how it is read and how it is described."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

from aiohttp import web

from common.http import read_body
from common.problems import Problem
from writer import bodies

B = TypeVar("B")

_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Body(Generic[B]):
    """What a route takes. `shape`: the type that a body is read into; `schema`: instead of that type's own."""

    shape: Any
    media: str = _JSON
    limit: int = bodies.MAX_BODY_BYTES
    required: bool = True
    """Where it is not, an empty body is read as `{}`."""
    schema: Mapping[str, Any] | None = None
    read: Callable[[bytes], Any] | None = None
    """Makes something of the bytes; by default they are JSON that fits `shape`."""
    problems: tuple[str, ...] = ("400 invalid_body",)

    async def bytes_of(self, request: web.Request) -> bytes:
        """The body as it was sent. Problems: as of `common.http.read_body`; 415 `unsupported_media_type`."""
        if not self.required and not request.can_read_body:
            return b""
        if not self._is_meant(request.content_type):
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                f"the body must be sent with Content-Type: {self.media}; it came as {request.content_type}",
            )
        return await read_body(request, self.limit)

    def decode(self, data: bytes) -> B:
        """The body; Problem 400 where it does not fit."""
        if self.read is not None:
            made: B = self.read(data)
            return made
        decoded: B = bodies.decode(data or (b"" if self.required else b"{}"), self.shape)
        return decoded

    def _is_meant(self, media: str) -> bool:
        return media == self.media or (self.media == _JSON and media.endswith("+json"))
