"""A real Redis Cluster of six nodes: keys lie on three of them, and any may fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from common import keys
from common.identifiers import UserId
from sidecar.embedded import Replica
from sidecar.redis_cache import connect
from sidecar.sources import Source
from tests.support.following import grant_to, never_wrong, until_followed
from tests.support.ledger import Ledger
from tests.support.redis_cluster import PASSWORD, PATIENCE_S, PRIMARIES, SixNodes, six_nodes
from tests.support.redis_rights import WRITER
from tests.support.relaying import Relaying, StartRelay, Subscriber
from tests.support.sidecars import Running, StartSidecar, until
from tests.support.waiting import eventually
from tests.support.wholeness import is_whole

pytestmark = pytest.mark.timeout(180)

USERS = [f"user:{number}" for number in range(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SixNodes]:
    """A cluster for the tests that leave it whole."""
    async with six_nodes(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest_asyncio.fixture
async def cluster(lasting: SixNodes) -> SixNodes:
    """Three primaries, three replicas, no key."""
    await lasting.empty()
    return lasting


@pytest_asyncio.fixture
async def failing(tmp_path: Path) -> AsyncIterator[SixNodes]:
    """One of its own, whose nodes may be killed."""
    async with six_nodes(tmp_path) as nodes:
        yield nodes


async def followed(
    cluster: SixNodes, ledger: Ledger, start_relay: StartRelay, start_sidecar: StartSidecar
) -> tuple[Relaying, Running]:
    """A relay, and a sidecar that has everything."""
    relaying = await start_relay(url=cluster.url)
    sidecar = await start_sidecar(cluster.url)
    await ledger.edit("pro")
    await grant_to(ledger, relaying, USERS)
    await until_followed(ledger, sidecar)
    return relaying, sidecar


async def test_everything_works_on_keys_that_lie_on_several_nodes(
    cluster: SixNodes, ledger: Ledger, start_relay: StartRelay, start_sidecar: StartSidecar
) -> None:
    """Relay, channel, following, warm start, the copy in an app, presence; with no more rights than documented."""
    writers = await cluster.let_in(WRITER, ledger.project, "password-of-the-writer")
    sidecars = await cluster.let_in("sidecar-PROJECT", ledger.project, "password-of-a-sidecar")
    other_node = f"redis://:{PASSWORD}@127.0.0.1:{cluster.servers[4].port}"
    async with cluster.reader() as redis, Subscriber(other_node, ledger.project) as subscriber:
        relaying = await start_relay(url=writers)
        sidecar = await start_sidecar(sidecars)
        await ledger.edit("pro")
        await grant_to(ledger, relaying, USERS)
        await until_followed(ledger, sidecar)
        assert {cluster.primary_of(keys.document(UserId(user), ledger.project)) for user in USERS} == {0, 1, 2}

        await until(lambda: subscriber.reached(1 + len(USERS)))
        heard = [message.position.revision for message in subscriber.changes]
        assert heard == list(range(1, 2 + len(USERS)))

        await eventually(lambda: is_whole(ledger, redis), PATIENCE_S)
        late = await start_sidecar(sidecars, SIDECAR_INSTANCE="late")
        await until_followed(ledger, late)
        assert late.project.started is not None
        assert late.project.started.source is Source.REDIS
        async with Replica.open(ledger.project, redis_url=sidecars) as replica:
            assert replica.check(USERS[0], "pro").allowed

        async def both_are_seen() -> bool:
            found = await relaying.station.presences.of(ledger.project)
            return {presence.instance for presence in found} >= {"sidecar-under-test", "late"}

        await eventually(both_are_seen)


async def test_an_emptied_node_is_filled_again(cluster: SixNodes, ledger: Ledger, start_relay: StartRelay) -> None:
    """Whatever a node held: each is watched, and what went away is written again."""
    relaying = await start_relay(url=cluster.url)
    await ledger.edit("pro")
    await grant_to(ledger, relaying, USERS)
    async with cluster.reader() as redis:
        await eventually(lambda: is_whole(ledger, redis), PATIENCE_S)
        for number in range(PRIMARIES):
            await cluster.ask(number, "FLUSHALL")
            await eventually(lambda: is_whole(ledger, redis), PATIENCE_S)


async def test_commands_find_a_slot_on_its_way_to_another_node_and_there(cluster: SixNodes) -> None:
    """While it moves single keys are asked for at the new node; afterwards all go there, in their order."""
    key, slot = "{moving}", int(await cluster.ask(0, "CLUSTER", "KEYSLOT", "{moving}"))
    source = slot * PRIMARIES // 16_384
    target = (source + 1) % PRIMARIES
    ids = [(await cluster.ask(number, "CLUSTER", "MYID")).decode() for number in range(PRIMARIES)]
    async with aclosing(connect(cluster.url)) as nodes:
        assert await nodes.send([("SET", "{moving}held", "1"), ("SET", "elsewhere", "2")]) == [True, True]
        await cluster.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        await cluster.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        sent = [("GET", "{moving}held"), ("SET", key, "3"), ("GET", key), ("GET", "elsewhere")]
        assert await nodes.send(sent) == [b"1", True, b"3", b"2"]
        await cluster.ask(
            source, "MIGRATE", "127.0.0.1", cluster.servers[target].port, "{moving}held", 0, 5_000, "AUTH", PASSWORD
        )
        for number in (target, *range(PRIMARIES)):
            await cluster.ask(number, "CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        appended = [("APPEND", key, str(digit)) for digit in range(4, 10)]
        assert (await nodes.send([*appended, ("GET", key), ("GET", "{moving}held")]))[-2:] == [b"3456789", b"1"]


async def test_changes_go_on_while_a_node_fails_over(
    failing: SixNodes, ledger: Ledger, start_relay: StartRelay, start_sidecar: StartSidecar
) -> None:
    """The node that is told every change is killed in the middle: nothing is lost, no answer is wrong."""
    relaying, sidecar = await followed(failing, ledger, start_relay, start_sidecar)
    stop = asyncio.Event()

    async def change() -> None:
        number = 0
        while not stop.is_set():
            await grant_to(ledger, relaying, [f"new:{number}"])
            number += 1
            await asyncio.sleep(0.02)

    async with failing.reader() as redis, never_wrong(sidecar, USERS[:10]):
        changing = asyncio.create_task(change())
        await failing.fail_over(failing.primary_of(keys.channel(ledger.project)))
        stop.set()
        await changing
        await until_followed(ledger, sidecar)
        await eventually(lambda: is_whole(ledger, redis), PATIENCE_S)


async def test_what_a_lagging_replica_lost_is_written_again(
    failing: SixNodes, ledger: Ledger, start_relay: StartRelay, start_sidecar: StartSidecar
) -> None:
    """The change log's node fails over to a replica that never heard of the last changes, documents among them."""
    relaying, sidecar = await followed(failing, ledger, start_relay, start_sidecar)
    async with failing.reader() as redis, never_wrong(sidecar, USERS[:10]):
        await eventually(lambda: is_whole(ledger, redis), PATIENCE_S)
        epoch = (await ledger.head()).epoch
        lagging = failing.primary_of(keys.changes(epoch, ledger.project))
        await failing.cut_off_replica(lagging)
        await grant_to(ledger, relaying, [f"late:{number}" for number in range(30)])
        await eventually(lambda: is_whole(ledger, redis), PATIENCE_S)
        await failing.fail_over(lagging)
        await eventually(lambda: is_whole(ledger, redis), PATIENCE_S)
        await until_followed(ledger, sidecar)
        fresh = await start_sidecar(failing.url, SIDECAR_INSTANCE="fresh")
        await until_followed(ledger, fresh)
        assert fresh.project.started is not None
        assert fresh.project.started.source is Source.REDIS
