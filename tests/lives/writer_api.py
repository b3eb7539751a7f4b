"""The writers as operators and apps use them: asked again, or another one, while one is dead."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import Any, Final

import aiohttp
import orjson

from common import document as documents
from common import transfer
from tests.lives.account import Json
from tests.lives.compare import Held

ADMIN_KEY: Final = "admin_lives"
_PATIENCE_S: Final = 120
_PAUSE_S: Final = 0.05


@dataclass(slots=True)
class WriterApi:
    """Several writers of one database."""

    http: aiohttp.ClientSession
    urls: Sequence[str]
    rng: Random
    keys: dict[str, str] = field(default_factory=dict)

    async def open_project(self, project: str) -> None:
        """Make a project and a key for its app."""
        await self.call("POST", "admin/projects", {"project_id": project, "return_hosts": ["shop.example"]})
        self.keys[project] = (await self.call("POST", f"admin/projects/{project}/keys", {"app": "web"}))[1]["key"]

    async def call(
        self, method: str, path: str, body: Any = None, *, project: str | None = None, **headers: str
    ) -> tuple[int, Json]:
        """Status and body; repeated until a writer gives an answer that is its own and final."""
        until = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                status, content = await self._once(method, path, body, project, headers)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                status, content = 0, repr(error).encode()
            if status and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                return status, orjson.loads(content)
            if asyncio.get_running_loop().time() > until:
                raise AssertionError(f"{method} {path} {body}: {status} {content!r} after {_PATIENCE_S} s")
            await asyncio.sleep(_PAUSE_S)

    async def held(self, project: str) -> Held:
        """Everything that a project publishes, at one revision."""
        _, content = await self._once("GET", f"snapshot?project_id={project}", None, None, {})
        lines = content.splitlines()
        head = transfer.decode_head(lines[0])
        found = [documents.decode(line) for line in lines[1:] if transfer.decode_end(line) is None]
        assert len(found) == head.count
        return Held(head.catalogue, {document.user_id: document for document in found})

    async def _once(
        self, method: str, path: str, body: Any, project: str | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        key = ADMIN_KEY if project is None else self.keys[project]
        sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else orjson.dumps(body)
        url = f"{self.rng.choice(self.urls)}/api/v1/{path}"
        async with self.http.request(method, url, data=data, headers=sent) as response:
            return response.status, await response.read()
