"""Redis is a cache: any key, or all of them, may vanish; no answer changes, and Redis is made whole again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from common import document as documents
from common import keys
from common.identifiers import ProjectId, UserId
from sandbox.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

NOTES = ProjectId("notes")
PATIENCE_S = 30
Facts = dict[str, str]


async def grant(stack: Stack, user: str) -> None:
    """Give a user the export by hand, and wait until the sidecar knows."""
    body = {"project_id": NOTES, "user_id": user, "feature": "export", "reason": "a test"}
    answer = await stack.admin.call("POST", "/api/v1/admin/grant", body=body)
    assert (await stack.apps["notes"].sidecar.check(user, "export", answer["token"]))["allowed"]


async def whole(redis: Redis, users: list[str]) -> bool:
    """Whether Redis says that it holds everything, and does: documents, users set, catalogue, log, digest."""
    meta = await redis.hgetall(keys.meta(NOTES))
    if not meta.get("digest") or "token" in meta:
        return False
    digest, held = 0, 0
    members = await redis.smembers(keys.users(NOTES))
    for member in members:
        data = await redis.get(keys.document(UserId(str(member)), NOTES))
        if data is None:
            return False
        document = documents.decode(str(data).encode())
        digest ^= documents.digest_of(document)
        held += bool(document.entitlements)
    log = keys.changes(int(meta["epoch"]), NOTES)
    return (
        set(users) <= set(members)
        and (meta["count"], meta["digest"]) == (str(held), f"{digest:032x}")
        and bool(await redis.exists(keys.catalog(NOTES)))
        and bool(await redis.exists(log))
    )


async def until_whole(redis: Redis, users: list[str]) -> None:
    """Wait until Redis is whole."""
    async with asyncio.timeout(PATIENCE_S):
        while not await whole(redis, users):  # noqa: ASYNC110 - the condition is Redis's
            await asyncio.sleep(0.02)


@asynccontextmanager
async def answers_stand(stack: Stack, users: list[str]) -> AsyncIterator[None]:
    """Ask the sidecar all the while: granted users stay allowed, a stranger denied, and nobody is sent away."""
    sidecar = stack.apps["notes"].sidecar
    wrong: list[object] = []
    asked = 0

    async def ask() -> None:
        nonlocal asked
        while True:
            for user in (*users, "stranger"):
                answer = await sidecar.check(user, "export")
                asked += 1
                if answer["allowed"] is not (user != "stranger"):
                    wrong.append(answer)
            await asyncio.sleep(0.005)

    asking = asyncio.create_task(ask())
    try:
        yield
        async with asyncio.timeout(PATIENCE_S):
            while asked < 50:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        asking.cancel()
        outcome = await asyncio.gather(asking, return_exceptions=True)
    assert wrong == []
    assert isinstance(outcome[0], asyncio.CancelledError), outcome


@pytest.mark.parametrize("pattern", ["entitlements:*:notes", "billing:meta:*", "billing:users:*", "billing:catalog:*",
                                     "billing:changes:*", "billing:sidecar*", "*"])  # fmt: skip
async def test_deleted_keys_change_no_answer_and_come_back(stack: Stack, pattern: str) -> None:
    """Whatever keys an operator deletes, the sidecar's answers stand, and the writer writes them again."""
    users = ["kim", "lee:colon", "mo"]
    for user in users:
        await grant(stack, user)
    async with Redis.from_url(stack.redis.url, decode_responses=True) as redis:
        await until_whole(redis, users)
        async with answers_stand(stack, users):
            found = [key async for key in redis.scan_iter(pattern)]
            assert found
            await redis.delete(*found)
            await until_whole(redis, users)


async def test_an_emptied_redis_changes_no_answer_and_is_refilled(stack: Stack) -> None:
    """FLUSHALL, also twice in a row: the answers stand, Redis is whole again, and changes go on arriving."""
    users = ["nia", "oz"]
    for user in users:
        await grant(stack, user)
    async with Redis.from_url(stack.redis.url, decode_responses=True) as redis:
        async with answers_stand(stack, users):
            await redis.flushall()
            await asyncio.sleep(0.05)
            await redis.flushall()
            await until_whole(redis, users)
        await grant(stack, "pat")
        await until_whole(redis, [*users, "pat"])
