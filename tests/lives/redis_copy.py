"""Redis beside Postgres: once the relay has caught up, every document and the digest over all of them are the same."""

import asyncio
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import xor
from typing import Any, Final

from common import document as documents
from common import keys, wire
from common.document import Document
from common.identifiers import ProjectId, UserId
from common.position import Position
from tests.lives.compare import Difference, Held

_PATIENCE_S: Final = 60
_POLL_S: Final = 0.02


class RedisCopy:
    """The copy of all projects, of one Redis."""

    def __init__(self, redis: Any, database: Any) -> None:
        self._redis = redis
        self._database = database

    async def caught_up(self, project: str) -> Position:
        """Wait until Redis says that it holds what is committed; where that is."""
        key, held, row = keys.meta(ProjectId(project)), None, None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while True:
                    row = await self._database.fetchrow(_POSITION, project)
                    held = await self._redis.hmget(key, ["epoch", "revision"])
                    if None not in held and tuple(map(int, held)) == tuple(row):
                        return Position(*row)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise AssertionError(f"the relay does not catch up: {project} is at {row}, Redis at {held}") from error

    async def differences(self, project: str, held: Held) -> list[Difference]:
        """What Redis holds otherwise than `held`, which is of the position that it has caught up with."""
        name = ProjectId(project)
        listed = {UserId(one.decode()) for one in await self._redis.smembers(keys.users(name))}
        users = sorted(listed | {UserId(user) for user in held.documents})
        found = await self._redis.mget([keys.document(user, name) for user in users]) if users else []
        copies = {user: documents.decode(data) for user, data in zip(users, found, strict=True) if data is not None}
        meta = await self._redis.hgetall(keys.meta(name))
        unlisted = sorted(user for user, one in held.documents.items() if one.entitlements and user not in listed)
        differing = list(_differing(project, held.documents, copies))
        if unlisted:
            differing.append(Difference((project, "everybody"), "users that Redis does not list", [], unlisted))
        given = [one for one in copies.values() if one.entitlements]
        said = (int(meta[b"count"]), meta[b"digest"].decode())
        is_so = (len(given), wire.format_digest(reduce(xor, map(documents.digest_of, given), 0)))
        if said != is_so:
            differing.append(Difference((project, "everybody"), "count and digest in Redis", is_so, said))
        return differing


def _differing(project: str, held: Mapping[str, Document], copies: Mapping[UserId, Document]) -> Iterator[Difference]:
    for user in sorted({*held, *copies}):
        document, copy = held.get(user), copies.get(UserId(user))
        nothing = document is None and (copy is None or not copy.entitlements)
        if document != copy and not nothing:
            yield Difference((project, user), "the document in Redis (beside Postgres)", document, copy)


_POSITION: Final = "SELECT epoch, revision FROM projects WHERE public_id = $1"
