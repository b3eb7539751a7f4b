"""What the page shows live: both sidecars' answers several times a second, and each change the moment it is there."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from sandbox.clients import CallError, Json
from sandbox.propagation import Seen, changes_of, milliseconds
from sandbox.stack import RunningApp, Stack

EVERY_S: Final = 0.25
RETRY_S: Final = 0.5
KILLABLE: Final = ("redis", "writer")


class Feed:
    """The live state of one user's page. `notices`: what the app has to tell each user, written by its actions."""

    def __init__(self, stack: Stack, user: str, notices: dict[str, str]) -> None:
        self._stack = stack
        self._user = user
        self._notices = notices
        self._change: Json | None = None
        self._changed = asyncio.Event()

    async def states(self) -> AsyncIterator[Json]:
        """The page's state, several times a second and at every change. It ends never."""
        followers = [asyncio.create_task(self._follow(app, feature)) for app, feature in self._sold()]
        try:
            while True:
                yield await self._state()
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await self._changed.wait()
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)

    def _sold(self) -> list[tuple[RunningApp, str]]:
        notes = self._stack.apps["notes"]
        return [(notes, "export"), (notes, "themes")]

    async def _state(self) -> Json:
        asked = [*self._sold(), (self._stack.apps["studio"], "render")]
        answers = await asyncio.gather(*(self._answer(app, feature) for app, feature in asked))
        return {
            "user": self._user,
            "answers": answers,
            "parts": {name: self._stack.parts[name].running for name in KILLABLE},
            "change": self._change,
            "notice": self._notices.get(self._user, ""),
        }

    async def _answer(self, app: RunningApp, feature: str) -> Json:
        row: Json = {"app": app.app.name, "feature": feature, "label": app.app.features[feature]["name"]}
        began = time.perf_counter()
        try:
            answer = await app.sidecar.check(self._user, feature)
        except CallError as error:
            return {**row, "error": str(error)}
        return {**row, "answer": answer, "took_ms": (time.perf_counter() - began) * 1000}

    async def _follow(self, app: RunningApp, feature: str) -> None:
        while True:
            try:
                before = await app.sidecar.check(self._user, feature)
                async for seen in changes_of(before, app.sidecar):
                    if seen.answer["allowed"] is not seen.before["allowed"]:
                        await self._tell(app, seen)
            except CallError:
                await asyncio.sleep(RETRY_S)

    async def _tell(self, app: RunningApp, seen: Seen) -> None:
        answer = seen.answer
        self._change = {
            "app": app.app.name,
            "feature": answer["feature"],
            "allowed": answer["allowed"],
            "milliseconds": await milliseconds(seen, app.writer),
            "revision": f"{answer['epoch']}.{answer['revision']}",
        }
        self._changed.set()
