"""A real Redis Cluster of six nodes: keys lie on three of them, and any may fail."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from common import keys
from common.identifiers import UserId
from sidecar.embedded import Replica
from sidecar.sources import Source
from tests.support.following import grant_to, never_wrong, until_followed
from tests.support.ledger import Ledger
from tests.support.redis_cluster import PASSWORD, PRIMARIES, SixNodes, six_nodes
from tests.support.relaying import StartRelay, Subscriber
from tests.support.sidecars import StartSidecar, until
from tests.support.waiting import eventually
from tests.support.wholeness import is_whole

USERS = [f"user:{number}" for number in range(60)]


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[SixNodes]:
    """Three primaries, three replicas."""
    async with six_nodes(tmp_path) as nodes:
        yield nodes


async def test_everything_works_on_keys_that_lie_on_several_nodes(
    cluster: SixNodes, ledger: Ledger, start_relay: StartRelay, start_sidecar: StartSidecar
) -> None:
    """Relay, channel, following, warm start, the copy in an app, presence, and the watch on every node."""
    other_node = f"redis://:{PASSWORD}@127.0.0.1:{cluster.servers[4].port}"
    async with cluster.reader() as redis, Subscriber(other_node, ledger.project) as subscriber:
        relaying = await start_relay(url=cluster.url)
        sidecar = await start_sidecar(cluster.url)
        await ledger.edit("pro")
        await grant_to(ledger, relaying, USERS)
        await until_followed(ledger, sidecar)
        assert {cluster.primary_of(keys.document(UserId(user), ledger.project)) for user in USERS} == {0, 1, 2}

        await until(lambda: subscriber.reached(1 + len(USERS)))
        heard = [message.position.revision for message in subscriber.changes]
        assert heard == list(range(1, 2 + len(USERS)))

        await eventually(lambda: is_whole(ledger, redis))
        late = await start_sidecar(cluster.url, SIDECAR_INSTANCE="late")
        await until_followed(ledger, late)
        assert late.project.started is not None
        assert late.project.started.source is Source.REDIS
        async with Replica.open(ledger.project, redis_url=cluster.url) as replica:
            assert replica.check(USERS[0], "pro").allowed

        async def both_are_seen() -> bool:
            found = await relaying.station.presences.of(ledger.project)
            return {presence.instance for presence in found} == {"sidecar-under-test", "late"}

        await eventually(both_are_seen)


async def test_an_emptied_node_is_filled_again(cluster: SixNodes, ledger: Ledger, start_relay: StartRelay) -> None:
    """Whatever a node held: each is watched, and what went away is written again."""
    relaying = await start_relay(url=cluster.url)
    await ledger.edit("pro")
    await grant_to(ledger, relaying, USERS)
    async with cluster.reader() as redis:
        await eventually(lambda: is_whole(ledger, redis))
        for number in range(PRIMARIES):
            await cluster.ask(number, "FLUSHALL")
            await eventually(lambda: is_whole(ledger, redis))


async def test_changes_go_on_while_a_node_fails_over(
    cluster: SixNodes, ledger: Ledger, start_relay: StartRelay, start_sidecar: StartSidecar
) -> None:
    """The node that is told every change is killed in the middle: nothing is lost, no answer is wrong."""
    relaying = await start_relay(url=cluster.url)
    sidecar = await start_sidecar(cluster.url)
    await ledger.edit("pro")
    await grant_to(ledger, relaying, USERS)
    await until_followed(ledger, sidecar)
    stop = asyncio.Event()

    async def change() -> None:
        number = 0
        while not stop.is_set():
            await grant_to(ledger, relaying, [f"new:{number}"])
            number += 1
            await asyncio.sleep(0.02)

    async with cluster.reader() as redis, never_wrong(sidecar, USERS[:10]):
        changing = asyncio.create_task(change())
        await cluster.fail_over(cluster.primary_of(keys.channel(ledger.project)))
        stop.set()
        await changing
        await until_followed(ledger, sidecar)
        await eventually(lambda: is_whole(ledger, redis))


async def test_what_a_lagging_replica_lost_is_written_again(
    cluster: SixNodes, ledger: Ledger, start_relay: StartRelay, start_sidecar: StartSidecar
) -> None:
    """The change log's node fails over to a replica that never heard of the last changes, documents among them."""
    relaying = await start_relay(url=cluster.url)
    sidecar = await start_sidecar(cluster.url)
    await ledger.edit("pro")
    await grant_to(ledger, relaying, USERS)
    await until_followed(ledger, sidecar)
    async with cluster.reader() as redis, never_wrong(sidecar, USERS[:10]):
        await eventually(lambda: is_whole(ledger, redis))
        epoch = (await ledger.head()).epoch
        lagging = cluster.primary_of(keys.changes(epoch, ledger.project))
        await cluster.cut_off_replica(lagging)
        await grant_to(ledger, relaying, [f"late:{number}" for number in range(30)])
        await eventually(lambda: is_whole(ledger, redis))
        await cluster.fail_over(lagging)
        await eventually(lambda: is_whole(ledger, redis))
        await until_followed(ledger, sidecar)
        fresh = await start_sidecar(cluster.url, SIDECAR_INSTANCE="fresh")
        await until_followed(ledger, fresh)
        assert fresh.project.started is not None
        assert fresh.project.started.source is Source.REDIS
