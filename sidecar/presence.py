"""Tells the writer, by way of Redis, which sidecars there are and where they stand. No answer depends on it."""

import asyncio
import logging
from random import Random
from typing import Final, Protocol

import orjson

from common.clock import SECOND, Clock
from common.identifiers import ProjectId
from common.wire import format_digest
from sidecar.project import Project
from sidecar.sources import UnavailableError

_log = logging.getLogger(__name__)

_PERIOD: Final = 1.0


class PresenceBoard(Protocol):
    """Where presence is written."""

    async def announce(self, project: ProjectId, instance: str, body: bytes, seen_at: float) -> None:
        """Write one sidecar's presence; `seen_at` in Unix seconds."""
        ...


class Presence:
    """One sidecar's presence in one project, each second."""

    def __init__(
        self, project: Project, board: PresenceBoard, instance: str, version: str, clock: Clock, rng: Random
    ) -> None:
        self._project = project
        self._board = board
        self._instance = instance
        self._version = version
        self._clock = clock
        self._rng = rng

    async def run(self) -> None:
        """Announce, forever; what fails is tried again at the next turn."""
        failing = False
        while True:
            await asyncio.sleep(_PERIOD * (0.75 + self._rng.random() / 2))
            body = self._body()
            if body is None:
                continue
            try:
                seen_at = self._clock.now() / SECOND
                await self._board.announce(self._project.id, self._instance, body, seen_at)
            except UnavailableError as error:
                if not failing:
                    _log.info("presence not written project=%s error=%s", self._project.id, error)
                failing = True
            else:
                failing = False

    def _body(self) -> bytes | None:
        copy = self._project.replica.copy
        if copy is None:
            return None
        now = self._clock.monotonic()
        return orjson.dumps(
            {
                "instance": self._instance,
                "version": self._version,
                "epoch": copy.position.epoch,
                "revision": copy.position.revision,
                "digest": format_digest(copy.digest),
                "count": copy.count,
                "complete": copy.complete,
                "ahead": self._project.ahead(now),
                "age_ms": int(self._project.freshness.age(now) * 1000),
                "mode": self._project.mode(now).value,
                "differing": list(self._project.differing),
            }
        )
