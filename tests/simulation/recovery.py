"""After the last fault: everybody finds the others again, and then everything is as Postgres has it, and proven."""

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from common import document as documents
from common import keys
from common.document import DocumentError
from common.identifiers import ProjectId, UserId
from common.position import NOWHERE
from common.wire import format_digest
from sidecar.project import Project
from sidecar.sources import Source
from tests.simulation.oracle import ViolationError, holds
from tests.simulation.redis_values import Stream
from writer.relay.project_relay import HEARTBEAT_SECONDS

if TYPE_CHECKING:
    from tests.simulation.world import World

CONNECTED_SECONDS: Final = 15.0
"""From the last fault until everybody has heard a heartbeat, and nobody knows more than Postgres.

The pauses between attempts to connect have grown to five seconds at most. After a rollback that the database does not
show, a new epoch begins once a writer has looked at what sidecars say of themselves, every five seconds.
"""
PROVEN_SECONDS: Final = 3 * HEARTBEAT_SECONDS
"""From then on, until every copy equals Postgres and is proven."""
WHOLE_SECONDS: Final = 45.0
"""Until Redis is whole: a refill follows another one only after a pause that grows to 30 s."""
_LOOK_SECONDS: Final = 0.02


class Recovery:
    """Waits for each of the three, in the world's time; ViolationError where one does not come."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._loop = world.servers.loop
        self._began = {slot.life.process.name: slot.life.clock.monotonic() for slot in world.sidecars}

    async def run(self) -> float:
        """Seconds that proving took."""
        await self._within(CONNECTED_SECONDS, "heartbeats reach everybody, and nobody is ahead", self._deaf)
        took = await self._within(PROVEN_SECONDS, "every copy equals Postgres and is proven", self._behind)
        await self._within(WHOLE_SECONDS, "Redis is whole", self._lacking)
        await self._within(PROVEN_SECONDS, "every copy still equals Postgres", self._behind)
        return took

    async def _within(self, seconds: float, what: str, lacking: Callable[[], Iterator[str]]) -> float:
        began = self._loop.now
        while (missing := next(lacking(), None)) is not None:
            if self._loop.now - began > seconds:
                self._world.trace("VIOLATION", what, missing)
                raise ViolationError(f"not within {seconds:g} s after the faults: {what}: {missing}")
            await asyncio.sleep(_LOOK_SECONDS)
        self._world.trace("recovered", what)
        return self._loop.now - began

    def _projects(self) -> Iterator[tuple[str, Project | None, ProjectId]]:
        for slot in self._world.sidecars:
            for name in self._world.servers.projects:
                project = None if slot.life.followed is None else slot.life.followed.projects[name]
                yield slot.life.process.name, project, name

    def _deaf(self) -> Iterator[str]:
        for who, project, name in self._projects():
            if project is None or project._heartbeats.get(Source.REDIS, float("-inf")) < self._began[who]:
                yield f"{who} has not heard of {name}"
            elif (project.position or NOWHERE) > self._world.oracle.histories.of[name].head.position:
                yield f"{who} is ahead of Postgres in {name}"

    def _behind(self) -> Iterator[str]:
        for who, project, name in self._projects():
            truth = self._world.oracle.histories.of[name].head
            copy = None if project is None else project.replica.copy
            if copy is None or not copy.complete or copy.position != truth.position or not holds(copy, truth):
                stands = "nowhere" if copy is None else f"at {copy.position.token}, {copy.proof.value}"
                yield f"{who} stands {stands} in {name}; Postgres at {truth.position.token}"

    def _lacking(self) -> Iterator[str]:
        for name in self._world.servers.projects:
            yield from self._lacking_of(name)

    def _lacking_of(self, name: ProjectId) -> Iterator[str]:
        held, truth = self._world.servers.redis.model.held, self._world.oracle.histories.of[name].head
        meta = {field.decode(): value.decode() for field, value in (held.get(keys.meta(name)) or {}).items()}
        epoch, revision = truth.position
        expected = {"epoch": epoch, "revision": revision, "count": truth.count, "digest": format_digest(truth.digest)}
        if meta != {field: str(value) for field, value in expected.items()}:
            yield f"it says {meta}, and Postgres {expected}"
        if keys.catalog(name) not in held:
            yield "the catalogue is missing"
        listed = held.get(keys.users(name)) or set()
        for user, document in truth.documents.items():
            data = held.get(keys.document(user, name))
            try:
                found = None if data is None else documents.decode(data)
            except DocumentError:
                found = None
            if found is None or (found.revision, found.entitlements) != (document.revision, document.entitlements):
                yield f"the document of {user} is {found}"
            if user.encode() not in listed:
                yield f"{user} is not listed"
        yield from self._surplus(name)
        log = held.get(keys.changes(epoch, name))
        if isinstance(log, Stream) and log.entries and max(log.entries) != revision:
            yield f"the change log ends at {max(log.entries)}"

    def _surplus(self, name: ProjectId) -> Iterator[str]:
        held, truth = self._world.servers.redis.model.held, self._world.oracle.histories.of[name].head
        for member in sorted(held.get(keys.users(name)) or ()):
            user = UserId(member.decode())
            data = held.get(keys.document(user, name))
            if user not in truth.documents and data is not None and documents.decode(data).entitlements:
                yield f"{user} is granted what nobody committed"
