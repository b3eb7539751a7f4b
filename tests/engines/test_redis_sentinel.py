"""Sentinels name the primary: after a failover it is another one, and may know less than Postgres has relayed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sidecar import redis_cache
from sidecar.embedded import Replica
from sidecar.sources import Source
from tests.support.following import grant_to, never_wrong, until_followed
from tests.support.ledger import Ledger
from tests.support.redis_sentinel import MASTER, PATIENCE_S, Watched, watched
from tests.support.relaying import StartRelay, meta_at
from tests.support.sidecars import StartSidecar, until
from tests.support.waiting import eventually
from tests.support.wholeness import is_whole

pytestmark = pytest.mark.timeout(180)

USERS = [f"user:{number}" for number in range(40)]


@pytest_asyncio.fixture
async def sentinels(tmp_path: Path) -> AsyncIterator[Watched]:
    """A primary, a replica, three sentinels."""
    async with watched(tmp_path) as found:
        yield found


async def test_the_primary_is_found_whoever_of_the_sentinels_answers(
    sentinels: Watched,
    ledger: Ledger,
    start_relay: StartRelay,
    start_sidecar: StartSidecar,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the first sentinel gone: writer, sidecar, the processes of a large start, and the copy in an app."""
    monkeypatch.setattr(redis_cache, "WORTH_IT", 0)
    url = await sentinels.guard()
    await sentinels.sentinels[0].kill()
    relaying = await start_relay(url=url)
    await ledger.edit("pro")
    await grant_to(ledger, relaying, USERS)
    async with sentinels.client(0) as redis:
        await eventually(lambda: is_whole(ledger, redis), PATIENCE_S)
    sidecar = await start_sidecar(url)
    await until_followed(ledger, sidecar)
    assert sidecar.project.started is not None
    assert sidecar.project.started.source is Source.REDIS
    async with Replica.open(ledger.project, redis_url=url) as replica:
        assert replica.check(USERS[0], "pro").allowed


async def test_what_sentinels_refuse_is_told(
    sentinels: Watched, ledger: Ledger, start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """A name that they do not know; a user that they do not know."""
    unknown = await start_relay(url=sentinels.url.replace(f"/{MASTER}", "/hidden"))
    await until(lambda: "REDIS_URL: the sentinels know no master of the name" in caplog.text)
    await unknown.stop()
    await sentinels.guard()
    await start_relay(url=f"{sentinels.url}?sentinel_username=hidden&sentinel_password=hidden", instance="other")
    await until(lambda: "REDIS_URL: the server refuses the user or the password" in caplog.text)
    assert "hidden" not in caplog.text


async def test_a_failover_to_a_lagging_replica_is_noticed_and_made_good(
    sentinels: Watched, ledger: Ledger, start_relay: StartRelay, start_sidecar: StartSidecar
) -> None:
    """Redis is older than what was relayed: it is filled again, and no sidecar's answer goes back with it."""
    relaying = await start_relay(url=sentinels.url)
    sidecar = await start_sidecar(sentinels.url)
    await ledger.edit("pro")
    await grant_to(ledger, relaying, USERS)
    await until_followed(ledger, sidecar)
    async with sentinels.client(0) as primary, sentinels.client(1) as replica:
        await eventually(lambda: is_whole(ledger, replica), PATIENCE_S)
        await sentinels.cut_off_replica()
        await grant_to(ledger, relaying, [f"late:{number}" for number in range(30)])
        await eventually(lambda: is_whole(ledger, primary), PATIENCE_S)
        await until_followed(ledger, sidecar)
        known = await meta_at(replica, ledger.project)
        assert known is not None
        assert known < await ledger.head()
        async with never_wrong(sidecar, [*USERS[:5], "late:7"]):
            await sentinels.fail_over()
            await eventually(lambda: is_whole(ledger, replica), PATIENCE_S)
            await grant_to(ledger, relaying, ["after"])
            await until_followed(ledger, sidecar)
            fresh = await start_sidecar(sentinels.url, SIDECAR_INSTANCE="fresh")
            await until_followed(ledger, fresh)
