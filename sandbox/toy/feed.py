"""What the page shows live: both sidecars' answers several times a second, and each change the moment it is there."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from sandbox.clients import CallError, Json
from sandbox.propagation import Seen, changes_of, milliseconds
from sandbox.stack import RunningApp
from sandbox.toy.backstage import Backstage

EVERY_S: Final = 0.25
RETRY_S: Final = 0.5
KILLABLE: Final = ("redis", "writer")


class Follower:
    """Times every change of one user's answers, also while the user is away on Stripe's page."""

    def __init__(self, stack: Backstage, user: str) -> None:
        self._user = user
        self.change: Json | None = None
        """The last one; None: there was none yet."""
        self.changed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._follow(app, feature)) for app, feature in sold(stack)]

    async def end(self) -> None:
        """Follow no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
        self.change = {
            "app": app.app.name,
            "feature": answer["feature"],
            "allowed": answer["allowed"],
            "milliseconds": await milliseconds(seen, app.writer),
            "revision": f"{answer['epoch']}.{answer['revision']}",
        }
        self.changed.set()


def sold(stack: Backstage) -> list[tuple[RunningApp, str]]:
    """What the toy app sells: each feature that a purchase unlocks."""
    notes = stack.apps["notes"]
    return [(notes, "export"), (notes, "themes")]


class Feed:
    """The live state of one user's page. `notices`: what the app has to tell each user, written by its actions."""

    def __init__(self, stack: Backstage, user: str, follower: Follower, notices: dict[str, str]) -> None:
        self._stack = stack
        self._user = user
        self._follower = follower
        self._notices = notices

    async def states(self) -> AsyncIterator[Json]:
        """The page's state, several times a second and at every change. It ends never."""
        while True:
            yield await self._state()
            self._follower.changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._follower.changed.wait()

    async def _state(self) -> Json:
        asked = [*sold(self._stack), (self._stack.apps["studio"], "render")]
        answers = await asyncio.gather(*(self._answer(app, feature) for app, feature in asked))
        return {
            "user": self._user,
            "answers": answers,
            "parts": {name: part.running for name, part in self._stack.parts.items() if name in KILLABLE},
            "change": self._follower.change,
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
