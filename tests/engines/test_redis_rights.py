"""Users with least rights, by the very lines of docs/engines.md: everything works, and nothing else is allowed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from common import keys
from common.identifiers import ProjectId, UserId
from sandbox.redis import RedisServer
from sidecar import redis_cache
from sidecar.sources import Source
from tests.support.following import grant_to, until_followed
from tests.support.ledger import Ledger
from tests.support.redis import StartRedis
from tests.support.redis_rights import WRITER, let_in
from tests.support.relaying import StartRelay, document_at
from tests.support.sidecars import StartSidecar, until
from tests.support.waiting import eventually
from tests.support.wholeness import is_whole

SHOP, BLOG = ProjectId("shop"), ProjectId("blog")
USERS = [f"user:{number}" for number in range(40)]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server that lets in nobody without a name."""

    server: RedisServer
    operator: Redis

    def url(self, user: str) -> str:
        """As that user."""
        return f"redis://{user}:password-of-{user}@127.0.0.1:{self.server.port}/0"


@pytest_asyncio.fixture
async def guarded(redis_server: StartRedis) -> AsyncIterator[Guarded]:
    """The writer's user, a sidecar's of the shop, an operator, and no default user."""
    server = await redis_server()
    async with Redis(port=server.port) as first:
        await first.acl_setuser("operator", enabled=True, passwords=["+of-the-operator"], keys=["*"], channels=["*"],
                                commands=["+@all"])  # fmt: skip
    async with Redis(port=server.port, username="operator", password="of-the-operator") as operator:
        await let_in(operator, WRITER, SHOP, f"password-of-{WRITER}")
        await let_in(operator, "sidecar-PROJECT", SHOP, "password-of-sidecar-shop")
        await operator.acl_setuser("default", enabled=False)
        yield Guarded(server, operator)


async def _denied(guarded: Guarded) -> int:
    log: Any = await guarded.operator.acl_log()
    return len(log)


async def test_writer_and_sidecars_need_no_more_rights_than_documented(
    guarded: Guarded,
    ledger: Ledger,
    start_relay: StartRelay,
    start_sidecar: StartSidecar,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Relay, refill, repair, watch, traces; following, warm starts alone and in processes, log, presence."""
    await guarded.operator.acl_log_reset()
    relaying = await start_relay(url=guarded.url(WRITER))
    sidecar = await start_sidecar(guarded.url("sidecar-shop"))
    await ledger.edit("pro")
    await grant_to(ledger, relaying, USERS)
    await until_followed(ledger, sidecar)
    await guarded.operator.flushall()
    await eventually(lambda: is_whole(ledger, guarded.operator))
    await guarded.operator.delete(keys.document(UserId(USERS[0]), SHOP))
    await eventually(lambda: _is_back(guarded))
    for least in (10**9, 0):
        monkeypatch.setattr(redis_cache, "WORTH_IT", least)
        late = await start_sidecar(guarded.url("sidecar-shop"), SIDECAR_INSTANCE=f"late-{least}")
        await until_followed(ledger, late)
        assert late.project.started is not None
        assert late.project.started.source is Source.REDIS

    async def all_are_seen() -> bool:
        found = await relaying.station.presences.of(SHOP)
        return len(found) == 3

    await eventually(all_are_seen)
    await asyncio.gather(*(relaying.station.presences.forget_old(SHOP) for _ in range(2)))
    assert await guarded.operator.acl_log() == []


async def _is_back(guarded: Guarded) -> bool:
    return await document_at(guarded.operator, SHOP, USERS[0]) is not None


@pytest.mark.parametrize(
    "command",
    [
        ("GET", keys.document(UserId("ada"), BLOG)),
        ("GET", keys.document(UserId("ada:shop"), BLOG)),
        ("HGETALL", keys.meta(BLOG)),
        ("SSCAN", keys.users(BLOG), "0"),
        ("XRANGE", keys.changes(1, BLOG), "-", "+"),
        ("SUBSCRIBE", keys.channel(BLOG)),
        ("SET", keys.sidecar(BLOG, "me"), "{}"),
        ("SET", keys.document(UserId("ada"), SHOP), "{}"),
        ("SET", keys.catalog(SHOP), "{}"),
        ("GET", keys.sidecar(SHOP, "another")),
        ("PUBLISH", keys.channel(SHOP), "x"),
        ("DEL", keys.users(SHOP)),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("EVAL", "return 1", "0"),
        ("CONFIG", "GET", "*"),
    ],
)
async def test_a_sidecars_user_is_kept_to_its_own_project(guarded: Guarded, command: tuple[str, ...]) -> None:
    """Nobody else's documents, nobody else's channel, and nothing written but its presence."""
    async with Redis.from_url(guarded.url("sidecar-shop")) as client:
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command)  # type: ignore[no-untyped-call]


async def test_a_denied_command_is_told_with_the_setting_and_mended_while_it_runs(
    guarded: Guarded,
    ledger: Ledger,
    start_relay: StartRelay,
    start_sidecar: StartSidecar,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the user nor his password is shown; with the right given, the sidecar goes on by itself."""
    await let_in(guarded.operator, "sidecar-PROJECT", SHOP, "password-of-sidecar-shop", "-hgetall")
    await start_relay(url=guarded.url(WRITER))
    await ledger.edit("pro")
    sidecar = await start_sidecar(guarded.url("sidecar-shop"))
    await until(lambda: "REDIS_URL: the server does not let its user run HGETALL" in caplog.text)
    assert "sidecar-shop" not in caplog.text
    await let_in(guarded.operator, "sidecar-PROJECT", SHOP, "password-of-sidecar-shop")
    await until_followed(ledger, sidecar)


async def test_a_script_of_somebody_else_is_not_the_writers(guarded: Guarded) -> None:
    """The writer loads and runs scripts; what they do is bound by its rights too."""
    async with Redis.from_url(guarded.url(WRITER)) as client:
        sha = await client.script_load("return redis.call('FLUSHALL')")
        with pytest.raises(ResponseError):
            await client.evalsha(sha, 0)
