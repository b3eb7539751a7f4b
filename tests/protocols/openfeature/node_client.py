"""`javascript/client.cjs` as a process: OpenFeature's official JavaScript SDKs."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import orjson

from tests.support import openfeature_packages

_SECONDS = 20.0  # only there to end a broken test


class NodeClient:
    """One client, with a provider for one context where it is a browser's."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def running(cls, mode: str, address: str, context: dict[str, Any]) -> AsyncIterator[Self]:
        """`mode`: `server`, `polling` (a browser's that polls), `listening` (a browser's that listens)."""
        modules = openfeature_packages.found()
        assert modules is not None
        process = await asyncio.create_subprocess_exec(
            "node", str(openfeature_packages.SOURCES / "client.cjs"), mode, f"http://{address}",
            orjson.dumps(context).decode(),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "NODE_PATH": modules},
        )  # fmt: skip
        assert process.stdin is not None
        try:
            yield cls(process)
        finally:
            process.stdin.close()
            try:
                async with asyncio.timeout(_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
                raise

    async def hear(self) -> dict[str, Any]:
        """What it tells next."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_SECONDS):
            line = await self._process.stdout.readline()
        assert line, "the client has ended"
        told: dict[str, Any] = orjson.loads(line)
        return told

    async def ask(self, kind: str, key: str, fallback: object, **context: object) -> dict[str, Any]:
        """The evaluation's details; `context` stands in for the client's own, where it is given."""
        assert self._process.stdin is not None
        asked = {"type": kind, "key": key, "fallback": fallback, **({"context": context} if context else {})}
        self._process.stdin.write(orjson.dumps(asked) + b"\n")
        while True:
            told = await self.hear()
            if "details" in told:
                details: dict[str, Any] = told["details"]
                return details
