"""Stripe's API as the town's people use it: forms in, plain objects out, refusals counted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import orjson

from tests.lives.account import Json

_KEY: Final = {"Authorization": "Bearer sk_test_sandbox"}


class RefusedError(Exception):
    """Stripe does not do that, as things stand."""


@dataclass(frozen=True, slots=True)
class StripeApi:
    """The account's API; `session` is shared."""

    session: aiohttp.ClientSession
    url: str

    async def post(self, path: str, **params: Any) -> Json:
        """Make or change something; RefusedError where Stripe answers 4xx."""
        return await self._call("POST", f"/v1/{path}", data=dict(_flat(params)))

    async def delete(self, path: str) -> Json:
        """End something."""
        return await self._call("DELETE", f"/v1/{path}")

    async def control(self, path: str, **body: Any) -> Json:
        """Play customer or bank."""
        return await self._call("POST", f"/_sandbox/{path}", data=orjson.dumps(body))

    async def _call(self, method: str, path: str, data: Any = None) -> Json:
        async with self.session.request(method, self.url + path, data=data, headers=_KEY) as response:
            body: Json = orjson.loads(await response.read())
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise AssertionError(f"{method} {path}: {response.status} {body}")
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise RefusedError(body["error"].get("message", ""))
        return body


def _flat(params: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        key = f"{path}[{name}]" if path else name
        if isinstance(value, Mapping):
            yield from _flat(value, key)
        elif isinstance(value, list | tuple):
            yield from _flat({str(place): one for place, one in enumerate(value)}, key)
        elif value is not None:
            yield key, str(value).lower() if isinstance(value, bool) else str(value)
