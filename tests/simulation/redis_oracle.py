"""What must hold at Redis whenever a client of ours writes or publishes there."""

from typing import Any, Final

import orjson

from common import keys, wire
from common.identifiers import ProjectId
from common.position import Position
from common.wire import Heartbeat
from tests.simulation.network import Connection
from tests.simulation.oracle import Oracle
from tests.simulation.postgres_server import PostgresServer
from tests.simulation.processes import Process
from tests.simulation.redis_server import RedisServer
from writer.relay.lease import LEASE_SECONDS

_CATALOGUE_PREFIX: Final = "billing:catalog:"
_META_PREFIX: Final = "billing:meta:"
_CHANNEL_PREFIX: Final = "billing:invalidate:"


class RedisOracle:
    """Listens to one Redis."""

    def __init__(self, oracle: Oracle, redis: RedisServer, postgres: PostgresServer) -> None:
        self.lost: set[str] = set()
        """Keys that went by themselves, or with a failover, since they were written: nobody is told of those."""
        self.beat_at: dict[ProjectId, float] = {}
        """When the last heartbeat was published."""
        self._oracle = oracle
        self._redis = redis
        self._postgres = postgres
        self._owned: dict[tuple[str, ProjectId], float] = {}
        redis.model.on_write = self._wrote
        redis.model.on_lose = self.lost.add
        redis.on_publish = self._published

    def owned(self, now: float) -> None:
        """Note who holds which lease."""
        database = self._postgres.committed
        for project_id, row in database.leases.items():
            if row.owner is not None:
                name = ProjectId(database.projects[project_id].public_id)
                self._owned[row.owner.rpartition(":")[0], name] = now

    def _wrote(self, key: str, before: Any, after: Any) -> None:
        self.lost.discard(key)
        if key.startswith((keys.DOCUMENT_PREFIX, _CATALOGUE_PREFIX)):
            if after is None:
                self._oracle.fail(f"{key} was deleted at Redis by a client of ours [5]")
            elif before is not None:
                old, new = _position(before), _position(after)
                if old is not None and new is not None and new < old:
                    self._oracle.fail(f"{key} went back at Redis from {old.token} to {new.token} [5]")
        elif key.startswith(_META_PREFIX) and b"epoch" in after and b"epoch" not in (before or {}):
            self._refilled(ProjectId(key.removeprefix(_META_PREFIX)), after)

    def _refilled(self, project: ProjectId, meta: dict[bytes, bytes]) -> None:
        """From now on Redis says that it is whole: at least then it is."""
        position = Position(int(meta[b"epoch"]), int(meta[b"revision"]))
        for truth in self._oracle.histories.of[project].truths.get(position, ())[-1:]:
            for user in truth.documents:
                key = keys.document(user, project)
                if key not in self._redis.model.held and key not in self.lost:
                    self._oracle.fail(f"a refill ended at {position.token}, and {key} is not there [11]")

    def _published(self, connection: Connection, channel: str, data: bytes) -> None:
        project, sender, now = ProjectId(channel.removeprefix(_CHANNEL_PREFIX)), connection.client, self._oracle.now
        self._check_right(project, sender, now)
        message = wire.decode(data)
        truths = self._oracle.histories.of[project].truths.get(message.position)
        if truths is None:
            self._oracle.fail(f"{sender} tells of {message.position.token}, which was never committed [4]")
        elif isinstance(message, Heartbeat):
            self.beat_at[project] = now
            if not any((t.count, t.digest) == (message.count, message.digest) for t in truths):
                self._oracle.fail(f"{sender}'s heartbeat at {message.position.token} has another digest [6]")

    def _check_right(self, project: ProjectId, sender: Process, now: float) -> None:
        last = self._owned.get((sender.name, project))
        if last is None or now - last > LEASE_SECONDS + self._oracle.bound(now):
            self._oracle.fail(f"{sender} publishes for {project}, whose lease it has not held for long [5]")


def _position(value: Any) -> Position | None:
    try:
        parsed = orjson.loads(value)
        return Position(parsed["epoch"], parsed["revision"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
