"""`billing verify`: what differs between Postgres, Redis and the sidecars is found and named, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio
from click.testing import CliRunner
from redis.asyncio import Redis

from common import document as documents
from common import keys, wire
from common.clock import SystemClock
from common.document import Document
from common.identifiers import UserId
from sidecar.app import running
from sidecar.settings import Settings
from tests.support.history import grant
from tests.support.ledger import Ledger
from tests.support.relaying import Relaying, StartRelay, document_at, meta_at
from tests.support.waiting import eventually, until
from writer.cache.commands import RedisCommands
from writer.cache.copy import CacheCopy
from writer.cache.link import RedisLink
from writer.cli import main
from writer.relay.backlog import Backlog
from writer.relay.heads import Heads
from writer.relay.presence import Presences
from writer.relay.project_snapshot import ProjectSnapshots
from writer.verify.report import Report
from writer.verify.verifier import Verifier
from writer.wakeup import Wakeup

ADA = UserId("ada")


@dataclass
class Place:
    """A project of three users that Redis holds whole, and nobody who would mend it."""

    ledger: Ledger
    redis: Redis
    verifier: Verifier

    @property
    def document_key(self) -> str:
        """Ada's document at Redis."""
        return keys.document(ADA, self.ledger.project)

    async def report(self) -> Report:
        """What a comparison finds."""
        return await self.verifier.verify(self.ledger.project_id, lambda _done, _total: None)

    async def found(self) -> list[tuple[str, str, str]]:
        """The findings: where, what, of what."""
        return [(one.place.value, one.kind.value, one.subject) for one in (await self.report()).findings]

    async def ada(self) -> Document:
        """Her document at Redis."""
        held = await document_at(self.redis, self.ledger.project, ADA)
        assert held is not None
        return held

    async def put(self, document: Document) -> None:
        """Write a document at Redis over whatever is there."""
        key = keys.document(document.user_id, self.ledger.project)
        await self.redis.set(key, documents.encode(document))
        await self.redis.sadd(keys.users(self.ledger.project), document.user_id)

    async def present(self, **facts: Any) -> None:
        """A sidecar's presence, as one in step would write it but for `facts`."""
        head = await self.ledger.head()
        (row,) = await self.ledger.query("SELECT user_count, digest FROM projects")
        right = {"epoch": head.epoch, "revision": head.revision, "count": row.user_count, "digest": row.digest.hex()}
        body = orjson.dumps({**right, "complete": True, "age_ms": 1, "mode": "redis", "differing": [], **facts})
        await self.redis.set(keys.sidecar(self.ledger.project, "pod-1"), body)
        await self.redis.zadd(keys.sidecars(self.ledger.project), {"pod-1": SystemClock().now() / 1e6})


async def _whole(ledger: Ledger, redis: Redis, relaying: Relaying) -> None:
    await ledger.edit("pro", "seats")
    for user in (ADA, "bob", "eve"):
        await ledger.change(user, grant(), grant("seats", 5))
    await ledger.change("eve")
    head = await ledger.head()

    async def told() -> bool:
        return await meta_at(redis, ledger.project) == head

    relaying.wakeup.notify()
    await eventually(told)


@pytest_asyncio.fixture
async def place(ledger: Ledger, redis: Redis, redis_url: str, start_relay: StartRelay) -> AsyncIterator[Place]:
    """The relay has told everything, and has ended."""
    relaying = await start_relay()
    await _whole(ledger, redis, relaying)
    await relaying.stop()
    link = RedisLink(redis_url)
    commands = RedisCommands(link)
    verifier = Verifier(
        Heads(ledger.engine, Wakeup()),
        ProjectSnapshots(ledger.engine),
        Backlog(ledger.engine),
        CacheCopy(commands, None),
        Presences(commands, SystemClock()),
        patience=0,
    )
    yield Place(ledger, redis, verifier)
    await link.close()


async def test_nothing_is_found_where_all_are_equal(place: Place) -> None:
    """Every document is compared, and a sidecar in step agrees."""
    await place.present()
    report = await place.report()
    assert report.equal, report.findings
    assert (report.documents, report.redis) == (2, await place.ledger.head())
    (sidecar,) = report.sidecars
    assert (sidecar.behind, sidecar.agrees, sidecar.complete) == (0, True, True)


async def _garble(place: Place) -> None:
    await place.redis.set(place.document_key, b"{")


async def _alter(place: Place) -> None:
    held = await place.ada()
    await place.put(Document(ADA, held.project_id, held.epoch, held.revision, held.computed_at, (grant("seats", 9),)))


async def _go_back(place: Place) -> None:
    held = await place.ada()
    await place.put(Document(ADA, held.project_id, held.epoch, 1, held.computed_at, held.entitlements))


async def _run_ahead(place: Place) -> None:
    held = await place.ada()
    await place.put(Document(ADA, held.project_id, held.epoch, 99, held.computed_at, held.entitlements))


async def _stranger(place: Place) -> None:
    held = await place.ada()
    stranger = UserId("mallory")
    await place.put(Document(stranger, held.project_id, held.epoch, 1, held.computed_at, held.entitlements))


def _delete(name: Callable[[Place], str]) -> Callable[[Place], Awaitable[None]]:
    async def act(place: Place) -> None:
        await place.redis.delete(name(place))

    return act


def _say(field: str, value: str | int) -> Callable[[Place], Awaitable[None]]:
    async def act(place: Place) -> None:
        await place.redis.hset(keys.meta(place.ledger.project), field, str(value))

    return act


async def _begin_refill(place: Place) -> None:
    await place.redis.delete(keys.meta(place.ledger.project))
    await _say("token", "t")(place)


async def _tear_log(place: Place) -> None:
    head = await place.ledger.head()
    await place.redis.xdel(keys.changes(head.epoch, place.ledger.project), "2-0")


def _run(statement: str) -> Callable[[Place], Awaitable[None]]:
    async def act(place: Place) -> None:
        await place.ledger.query(statement)

    return act


def _present(**facts: Any) -> Callable[[Place], Awaitable[None]]:
    async def act(place: Place) -> None:
        await place.present(**facts)

    return act


async def _present_behind(place: Place) -> None:
    head = await place.ledger.head()
    await place.present(epoch=head.epoch - 1)


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (_delete(lambda place: place.document_key), ("redis", "missing", "user ada")),
        (_garble, ("redis", "missing", "user ada")),
        (_alter, ("redis", "different", "user ada")),
        (_go_back, ("redis", "behind", "user ada")),
        (_run_ahead, ("redis", "ahead", "user ada")),
        (_stranger, ("redis", "unknown", "user mallory")),
        (_delete(lambda place: keys.catalog(place.ledger.project)), ("redis", "missing", "catalogue")),
        (_delete(lambda place: keys.meta(place.ledger.project)), ("redis", "missing", "meta")),
        (_begin_refill, ("redis", "refilling", "meta")),
        (_say("revision", 1), ("redis", "behind", "meta")),
        (_say("revision", 99), ("redis", "ahead", "meta")),
        (_say("digest", wire.format_digest(7)), ("redis", "digest", "meta")),
        (_say("count", "x"), ("redis", "missing", "meta")),
        (_tear_log, ("redis", "gap", "change log")),
        (_run("UPDATE projects SET user_count = 7"), ("postgres", "digest", "project")),
        (_present(digest=wire.format_digest(7)), ("sidecar", "digest", "pod-1")),
        (_present(revision=99), ("sidecar", "ahead", "pod-1")),
        (_present(complete=False), ("sidecar", "unproven", "pod-1")),
        (_present(epoch=None), ("sidecar", "unreadable", "pod-1")),
        (_present_behind, ("sidecar", "behind", "pod-1")),
        (_present(revision=3, mode="none", count=2), ("sidecar", "behind", "pod-1")),
    ],
)
async def test_each_damage_is_named(
    place: Place, damage: Callable[[Place], Awaitable[None]], finding: tuple[str, str, str]
) -> None:
    """Where it is, what is wrong, and with whom."""
    await damage(place)
    assert finding in await place.found()


async def test_a_document_that_was_changed_by_hand_in_postgres_is_named(place: Place) -> None:
    """Its own digest tells it, also where Redis holds what stood there before."""
    await place.ledger.query(
        "UPDATE documents SET body = replace(body::text, 'seats', 'chair')::json WHERE user_id = 'ada'"
    )
    assert ("postgres", "digest", "user ada") in await place.found()


async def test_what_is_on_its_way_is_no_difference(
    ledger: Ledger, redis: Redis, redis_url: str, start_relay: StartRelay, database_url: str
) -> None:
    """While changes go on, with a relay and a real sidecar, the command finds nothing; then it names what was lost."""
    relaying = await start_relay()
    await _whole(ledger, redis, relaying)
    settings = Settings.from_mapping(
        {
            "SIDECAR_PROJECT": ledger.project,
            "REDIS_URL": redis_url,
            "SIDECAR_LISTEN": "127.0.0.1:0",
            "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0",
            "SIDECAR_INSTANCE": "pod-2",
        }
    )
    async with running(settings) as sidecar:
        project = sidecar.projects[ledger.project]
        await until(lambda: project.replica.copy is not None and project.replica.copy.complete)
        await eventually(lambda: _exists(redis, keys.sidecar(ledger.project, "pod-2")))
        for number in range(200):
            await ledger.change(f"user_{number % 20}", grant("seats", number))
        status, reports = await _billing(redis_url, database_url)
        assert (status, [report["findings"] for report in reports]) == (0, [[]])
        assert [one["instance"] for one in reports[0]["sidecars"]] == ["pod-2"]
        assert reports[0]["documents_compared"] == 22
        await relaying.stop()
        await redis.delete(keys.document(ADA, ledger.project))
        status, reports = await _billing(redis_url, database_url, "--patience", "0")
        assert (status, reports[0]["findings"][0]["subject"]) == (1, "user ada")


async def _exists(redis: Redis, key: str) -> bool:
    return bool(await redis.exists(key))


async def _billing(redis_url: str, database_url: str, *arguments: str) -> tuple[int, Any]:
    environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    command = ["verify", "shop", "--json", *arguments]
    result = await asyncio.to_thread(lambda: CliRunner().invoke(main, command, env=environment))
    return result.exit_code, json.loads(result.stdout)
