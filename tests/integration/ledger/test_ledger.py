"""Recompute and outbox: revisions, documents and digest change together or not at all."""

import asyncio
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common import document as documents
from common.catalogue import Catalogue
from common.document import Document
from common.position import Position
from writer import outbox
from writer.db.transaction import CatalogueMovedError, LineageMovedError
from writer.domain.catalogue import Definition
from writer.outbox import Cause, OutboxEntry
from writer.recompute import Recompute

if TYPE_CHECKING:
    from tests.integration.ledger.conftest import Ledger


async def entries(ledger: "Ledger") -> list[OutboxEntry]:
    """The whole outbox of the project."""
    async with ledger.engine.connect() as connection:
        return list(await outbox.read(connection, ledger.project_id, Position(7, 0), 10_000))


async def head(ledger: "Ledger") -> tuple[int, int, int]:
    """The project's revision, count and digest."""
    async with ledger.engine.connect() as connection:
        row = (await connection.execute(text("SELECT revision, user_count, digest FROM projects"))).one()
    return row.revision, row.user_count, int.from_bytes(row.digest, "big")


async def test_change_is_one_revision_with_all_that_belongs_to_it(ledger: "Ledger") -> None:
    """A grant makes one revision, and entitlements, history, outbox, count and digest speak of the same document."""
    (revision,) = await ledger.grant("ada")
    assert revision.position == Position(7, 2)  # the catalogue was 1
    first, second = await entries(ledger)
    assert isinstance(first.body, Catalogue)
    document = second.body
    assert isinstance(document, Document)
    assert [e.feature_code for e in document.entitlements] == ["export"]
    assert await head(ledger) == (2, 1, documents.digest_of(document)) == (2, second.count, second.digest)
    async with ledger.engine.connect() as connection:
        held = (await connection.execute(text("SELECT user_id, feature_code, source, value FROM entitlements"))).all()
        history = (
            await connection.execute(text("SELECT revision, cause, catalog_version FROM entitlement_history"))
        ).all()
    assert [tuple(row) for row in held] == [("ada", "export", "manual", None)]
    assert [tuple(row) for row in history] == [(2, "grant:test", 1)]


async def test_nothing_changed_gives_no_revision(ledger: "Ledger") -> None:
    """Computing again what is already so leaves the project where it stands."""
    await ledger.grant("ada")
    before = await head(ledger)

    async def again(connection: AsyncConnection) -> list[outbox.Revision]:
        ref = await connection.scalar(text("SELECT id FROM users"))
        return await ledger.recompute.users(connection, [ref], Cause("operator:test"))

    assert await ledger.transactions.run(again) == []
    assert await head(ledger) == before


async def test_losing_everything_leaves_an_empty_document(ledger: "Ledger") -> None:
    """Who loses the last entitlement gets an empty document at a new revision, and leaves count and digest."""
    await ledger.grant("ada")

    async def revoke(connection: AsyncConnection) -> None:
        await connection.execute(text("UPDATE manual_grants SET revoked_at = now(), revoked_by = 'test'"))
        ref = await connection.scalar(text("SELECT id FROM users"))
        await ledger.recompute.users(connection, [ref], Cause("revoke:test"))

    await ledger.transactions.run(revoke)
    last = (await entries(ledger))[-1]
    assert isinstance(last.body, Document)
    assert last.body.entitlements == ()
    assert await head(ledger) == (3, 0, 0)


async def test_revisions_are_gapless_under_contention(ledger: "Ledger") -> None:
    """Many users changing at once get revisions without a gap, and the digest is the XOR of what is held."""
    await asyncio.gather(*(ledger.grant(f"user-{n % 12}", "seats", n) for n in range(40)))
    log = await entries(ledger)
    assert [entry.position.revision for entry in log] == list(range(1, len(log) + 1))
    newest = {entry.body.user_id: entry.body for entry in log if isinstance(entry.body, Document)}
    assert await head(ledger) == (len(log), 12, reduce(xor, map(documents.digest_of, newest.values())))
    sums = {str(u): sorted(str(e.value) for e in d.entitlements) for u, d in newest.items()}
    assert sums["user-3"] == ["15", "27", "3", "39"]  # no grant was missed by the one beside it


async def test_document_is_computed_again_when_the_catalogue_moved(
    ledger: "Ledger", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalogue edit between computing and the project's lock never leaves a document of the old version."""
    original = Recompute._definition
    moved = False

    async def edit_meanwhile(self: Recompute, connection: AsyncConnection, state: object) -> Definition:
        nonlocal moved
        definition = await original(self, connection, state)  # type: ignore[arg-type]
        if not moved:
            moved = True
            await ledger.define(Definition(2, {}))
        return definition

    monkeypatch.setattr(Recompute, "_definition", edit_meanwhile)
    assert await ledger.grant("ada") == []  # version 2 knows no feature, so the grant gives nothing
    assert [type(entry.body) for entry in await entries(ledger)] == [Catalogue, Catalogue]


async def test_catalogue_version_must_follow(ledger: "Ledger") -> None:
    """Two edits made from the same version cannot both be put in force."""
    await ledger.define(Definition(2, {}))
    with pytest.raises(CatalogueMovedError):
        await ledger.define(Definition(2, {}))


async def test_no_revision_is_given_on_tables_that_were_made_anew(ledger: "Ledger") -> None:
    """After a restore, which makes new tables, every change is refused until a new epoch has begun."""
    async with ledger.engine.begin() as connection:
        await connection.execute(text("UPDATE projects SET home_oid = 1"))
    with pytest.raises(LineageMovedError):
        await ledger.grant("ada")
    assert len(await entries(ledger)) == 1
