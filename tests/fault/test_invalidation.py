"""Invalidation by hand, as the operations guide has it: what was deleted is computed anew from its sources."""

import asyncio
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from common import keys
from common.identifiers import ProjectId, UserId
from sandbox.clients import Sidecar
from sandbox.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PATIENCE_S = 30
FEATURES = {"notes": "export", "studio": "render"}


async def grant(stack: Stack, project: str, user: str) -> int:
    """Give a user the project's feature by hand, wait until its sidecar knows; the revision that it came with."""
    body = {"project_id": project, "user_id": user, "feature": FEATURES[project], "reason": "a test"}
    answer = await stack.admin.call("POST", "/api/v1/admin/grant", body=body)
    checked = await stack.apps[project].sidecar.check(user, FEATURES[project], answer["token"])
    assert checked["allowed"]
    return int(checked["revision"])


async def take_back_unheard(stack: Stack, *users: str) -> None:
    """Revoke grants in the database's own tables, as nobody should: no document, revision or message follows."""
    connection = await asyncpg.connect(stack.postgres.url)
    try:
        done = await connection.execute(
            "UPDATE manual_grants SET revoked_at = now(), revoked_by = 'test', revoke_reason = 'a test'"
            " WHERE user_ref IN (SELECT id FROM users WHERE user_id = ANY($1))",
            list(users),
        )
        assert done == f"UPDATE {len(users)}"
    finally:
        await connection.close()


async def until_denied(sidecar: Sidecar, user: str, feature: str) -> dict[str, Any]:
    """The first answer that denies it."""
    async with asyncio.timeout(PATIENCE_S):
        while (answer := await sidecar.check(user, feature))["allowed"]:  # noqa: ASYNC110 - the sidecar tells nobody
            await asyncio.sleep(0.02)
    return answer


async def test_a_deleted_document_is_written_anew_from_its_sources(stack: Stack) -> None:
    """DEL of one key: Redis has the document again, and where the sources say otherwise now, so does the sidecar."""
    sidecar = stack.apps["notes"].sidecar
    revision = await grant(stack, "notes", "user_123")
    await grant(stack, "notes", "user_124")
    await take_back_unheard(stack, "user_123")
    assert (await sidecar.check("user_123", "export"))["allowed"], "nothing has told anybody yet"
    async with Redis.from_url(stack.redis.url, decode_responses=True) as redis:
        key = keys.document(UserId("user_123"), ProjectId("notes"))
        assert await redis.delete(key) == 1
        denied = await until_denied(sidecar, "user_123", "export")
        assert denied["revision"] > revision
        assert '"entitlements":[]' in str(await redis.get(key))
    assert (await sidecar.check("user_124", "export"))["allowed"]


async def test_a_whole_projects_documents_are_written_anew_and_no_others_are_touched(stack: Stack) -> None:
    """DEL of all of a project's keys: each user is computed anew, and another project's documents stay as they were."""
    users = [f"member:{number}" for number in range(5)]
    for user in users:
        await grant(stack, "notes", user)
    await grant(stack, "studio", "member:0")
    await take_back_unheard(stack, *users[1:])
    async with Redis.from_url(stack.redis.url, decode_responses=True) as redis:
        other = await redis.get(keys.document(UserId("member:0"), ProjectId("studio")))
        found = [key async for key in redis.scan_iter("entitlements:*:notes")]
        await redis.delete(*found)
        for user in users[1:]:
            await until_denied(stack.apps["notes"].sidecar, user, "export")
        async with asyncio.timeout(PATIENCE_S):
            while await redis.exists(*found) != len(found):  # noqa: ASYNC110 - the condition is Redis's
                await asyncio.sleep(0.02)
        assert other == await redis.get(keys.document(UserId("member:0"), ProjectId("studio")))
    assert (await stack.apps["notes"].sidecar.check(users[0], "export"))["allowed"]
    assert (await stack.apps["studio"].sidecar.check("member:0", "render"))["allowed"]
