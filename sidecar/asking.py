"""Asking the writer for one user: once however many wait, never for long, and not at all while it just failed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from common.clock import Clock
from common.document import Document
from common.identifiers import ProjectId, UserId
from sidecar.metrics import Metrics
from sidecar.sources import SourceError, UnavailableError

ASK_SECONDS: Final = 2.0
_AT_ONCE: Final = 32  # connections; a cold start must not become the writer's bad day
_REST_SECONDS: Final = 1.0  # after a failure; a dead writer then costs one question a second, not each request's time


class UserOrigin(Protocol):
    """The writer's answer for one user."""

    async def document(self, project: ProjectId, user: UserId) -> Document:
        """The user's document as the writer has it now."""
        ...


class Asker:
    """Shares one question among all who wait for the same user."""

    def __init__(self, origin: UserOrigin | None, metrics: Metrics, clock: Clock) -> None:
        self._origin = origin
        self._metrics = metrics
        self._clock = clock
        self._asking: dict[tuple[ProjectId, UserId], asyncio.Task[Document]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._rests_until: dict[ProjectId, float] = {}

    async def ask(self, project: ProjectId, user: UserId) -> Document:
        """The user's document; SourceError where the writer gives none in time."""
        if self._origin is None:
            raise UnavailableError("WRITER_URL is not set")
        question = (project, user)
        task = self._asking.get(question)
        if task is None:
            if self._clock.monotonic() < self._rests_until.get(project, float("-inf")):
                raise UnavailableError("the writer has just failed")
            task = asyncio.create_task(self._ask(self._origin.document, project, user))
            self._asking[question] = task
            task.add_done_callback(lambda done: self._forget(question, done))
        return await asyncio.shield(task)  # one waiter that goes away takes nobody's answer along

    async def close(self) -> None:
        """Give up what is being asked."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _ask(
        self, read: Callable[[ProjectId, UserId], Awaitable[Document]], project: ProjectId, user: UserId
    ) -> Document:
        try:
            async with asyncio.timeout(ASK_SECONDS), self._slots:
                document = await read(project, user)
        except TimeoutError as error:
            self._failed(project)
            raise UnavailableError(f"the writer did not answer within {ASK_SECONDS:g} s") from error
        except SourceError:
            self._failed(project)
            raise
        self._metrics.origin_questions.labels(project, "answered").inc()
        return document

    def _failed(self, project: ProjectId) -> None:
        self._metrics.origin_questions.labels(project, "failed").inc()
        self._rests_until[project] = self._clock.monotonic() + _REST_SECONDS

    def _forget(self, question: tuple[ProjectId, UserId], done: asyncio.Task[Document]) -> None:
        self._asking.pop(question, None)
        if not done.cancelled():
            done.exception()  # whoever waited has it; should all have gone, nobody misses it
