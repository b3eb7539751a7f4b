"""What the product must find where revisions, heads, snapshots and documents are read. Each case is one behaviour."""

import asyncio

import pytest

from common.catalogue import Catalogue
from common.document import Document
from common.identifiers import UserId
from common.position import Position
from tests.contract.postgres_model.ground import CLOCK, Ground, grant_to, keeper_on
from tests.support.history import grant
from writer import outbox
from writer.documents import Documents
from writer.relay.backlog import Backlog, Page
from writer.relay.heads import Heads
from writer.relay.lease import Leases
from writer.relay.project_snapshot import ProjectSnapshots
from writer.wakeup import Wakeup


def _told(page: Page) -> list[tuple[int, str | None, int]]:
    return [
        (e.position.revision, e.body.user_id if isinstance(e.body, Document) else None, e.count) for e in page.entries
    ]


async def the_outbox_holds_every_revision_in_order(ground: Ground) -> None:
    """A page begins behind a position, ends at its limit, and names the head; digests stand on the rows."""
    ledger = await ground.ledger()
    await ledger.edit("pro")
    await ledger.change_many({"ann": [grant()], "bob": [grant("seats", 5)]})
    await ledger.change("ann")
    backlog = Backlog(ground.engine)
    page = await backlog.page(ledger.project_id, Position(1, 0), 10)
    assert _told(page) == [(1, None, 0), (2, "ann", 1), (3, "bob", 2), (4, "ann", 1)]
    assert isinstance(page.entries[0].body, Catalogue)
    assert page.head.position == (1, 4)
    assert (page.head.standing.count, page.head.standing.digest) == (1, page.entries[-1].digest)
    assert _told(await backlog.page(ledger.project_id, Position(1, 1), 2)) == [(2, "ann", 1), (3, "bob", 2)]
    assert _told(await backlog.page(ledger.project_id, Position(1, 4), 2)) == []
    assert _told(await backlog.page(ledger.project_id, Position(2, 0), 2)) == []
    tail = await backlog.tail(ledger.project_id, Position(1, 3), 2)
    assert [entry.position.revision for entry in tail] == [2, 3]


async def relaying_begins_at_the_cursor_or_where_the_epoch_does(ground: Ground) -> None:
    """A cursor of this epoch holds, with its standing while its row is kept; any other leads to the epoch's start."""
    ledger = await ground.ledger()
    backlog = Backlog(ground.engine)
    empty = await backlog.start(ledger.project_id, Position(0, 0))
    assert (empty.position, empty.logged) == ((1, 0), False)
    await ledger.change("ann", grant())
    await ledger.change("bob", grant())
    first = await backlog.start(ledger.project_id, Position(1, 1))
    assert (first.position, first.logged) == ((1, 1), True)
    assert first.standing is not None
    assert first.standing.count == 1
    beyond = await backlog.start(ledger.project_id, Position(1, 7))
    assert (beyond.position, beyond.standing, beyond.logged) == ((1, 0), None, False)
    assert await keeper_on(ground).raise_epoch(ledger.project_id, Position(1, 7), "redis")
    risen = await backlog.start(ledger.project_id, Position(1, 2))
    assert (risen.position.revision, risen.logged) == (2, False)
    assert risen.standing is not None
    assert risen.standing.count == 2


async def two_who_change_at_once_get_revisions_one_after_the_other(ground: Ground) -> None:
    """Without a gap, and with the digest of both."""
    ledger = await ground.ledger()
    await asyncio.gather(*[ledger.change(f"user_{number}", grant()) for number in range(4)])
    page = await Backlog(ground.engine).page(ledger.project_id, Position(1, 0), 10)
    assert [(entry.position.revision, entry.count) for entry in page.entries] == [(n, n) for n in range(1, 5)]
    assert page.head.standing.digest == page.entries[-1].digest


async def nobody_sees_what_is_not_committed(ground: Ground) -> None:
    """Another connection finds the state before; who wants the same project waits; what is rolled back never was."""
    ledger = await ground.ledger()
    await ledger.change("ann", grant())
    heads = Heads(ground.engine, Wakeup())
    begun, ended = asyncio.Event(), asyncio.Event()

    async def give_up() -> None:
        async with ground.engine.begin() as connection:
            await grant_to(connection, ledger, "bob")
            begun.set()
            await ended.wait()
            raise KeyError("given up")

    first = asyncio.create_task(give_up())
    await begun.wait()
    assert (await heads.read(ledger.project_id)).position == (1, 1)
    second = asyncio.create_task(ledger.change("eve", grant()))
    ended.set()
    with pytest.raises(KeyError):
        await first
    assert (await second).position == (1, 2)
    assert _told(await Backlog(ground.engine).page(ledger.project_id, Position(1, 1), 9)) == [(2, "eve", 2)]


async def heads_are_read_of_all_projects_and_of_one(ground: Ground) -> None:
    """Position, number and digest, as committed."""
    ledger = await ground.ledger()
    await ledger.change("ann", grant())
    heads = Heads(ground.engine, Wakeup())
    await heads.look()
    assert heads.of(ledger.project_id) == await heads.read(ledger.project_id)
    assert (await heads.read(ledger.project_id)).standing.count == 1
    assert await heads.beyond(ledger.project_id, Position(1, 0), 5.0)


async def a_snapshot_stays_where_it_was_opened(ground: Ground) -> None:
    """Whatever is committed meanwhile: head, catalogue and documents fit together, in every way to read them."""
    ledger = await ground.ledger()
    await ledger.edit("pro")
    await ledger.change_many({"ann": [grant()], "bob": [grant("seats", 5)], "eve": [grant()]})
    await ledger.change("eve")
    async with ProjectSnapshots(ground.engine).open(ledger.project_id) as snapshot:
        await ledger.change("ann")
        await ledger.change("joe", grant())
        assert (snapshot.head.position, snapshot.head.count) == ((1, 5), 2)
        assert (snapshot.head.catalogue.position, list(snapshot.head.catalogue.features)) == ((1, 1), ["pro"])
        everything = [row async for rows in snapshot.documents(with_empty=True) for row in rows]
        held = [row async for rows in snapshot.documents(with_empty=False) for row in rows]
        assert sorted((row.user_id, row.position.revision) for row in everything) == [
            ("ann", 2),
            ("bob", 3),
            ("eve", 5),
        ]
        assert sorted(row.user_id for row in held) == ["ann", "bob"]
        assert [row.is_empty for row in everything if row.user_id == "eve"] == [True]
        digest = 0
        for row in everything:
            digest ^= row.digest
        assert digest == snapshot.head.digest
        walked = await snapshot.after(0, 2)
        walked += await snapshot.after(walked[-1].user_ref, 2)
        assert {row.user_id for row in walked} == {"ann", "bob", "eve"}
        assert [row.user_id for row in await snapshot.of([UserId("bob"), UserId("nobody")])] == ["bob"]


async def only_what_is_relayed_and_not_among_the_last_is_trimmed(ground: Ground) -> None:
    """What is left follows without a gap; who asks for what went finds a head beyond an empty page."""
    ledger = await ground.ledger()
    for number in range(6):
        await ledger.change(f"user_{number}", grant())
    leases = Leases(ground.engine, "one", CLOCK)
    held = (await leases.renew())[ledger.project_id]
    await leases.advance(held, Position(1, 3))

    async def trim(keep: int, seconds: float) -> int:
        async with ground.engine.begin() as connection:
            return await outbox.trim(connection, ledger.project_id, keep_seconds=seconds, keep_entries=keep)

    assert [await trim(0, 60.0), await trim(4, -1.0), await trim(0, -1.0)] == [0, 2, 1]
    backlog = Backlog(ground.engine)
    assert [e.position.revision for e in (await backlog.page(ledger.project_id, Position(1, 0), 9)).entries] == [
        4,
        5,
        6,
    ]
    start = await backlog.start(ledger.project_id, Position(1, 3))
    assert (start.position, start.standing, start.logged) == ((1, 3), None, False)


async def a_users_document_is_read_with_its_head(ground: Ground) -> None:
    """An empty one at the head for somebody who is not known."""
    ledger = await ground.ledger()
    await ledger.change("ann", grant())
    await ledger.change("bob", grant("seats", 5))
    documents = Documents(ground.engine, CLOCK)
    held = await documents.held(ledger.project_id, UserId("ann"))
    assert (held.document.position, held.document.entitlements, held.head) == ((1, 1), (grant(),), (1, 2))
    unknown = await documents.held(ledger.project_id, UserId("joe"))
    assert (unknown.document.position, unknown.document.entitlements) == ((1, 2), ())
