"""A relay on a real database and sidecars that follow it, by whatever Redis is under test."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from common import document as documents
from common.document import Entitlement
from common.identifiers import UserId
from sidecar.replica import Copy
from tests.support.history import grant
from tests.support.ledger import Ledger
from tests.support.relaying import Relaying
from tests.support.sidecars import Running
from tests.support.waiting import eventually

Holders = Mapping[str, Sequence[Entitlement]]


async def grant_to(ledger: Ledger, relaying: Relaying, users: Sequence[str], feature: str = "pro") -> None:
    """A revision for each user."""
    await ledger.change_many({user: [grant(feature)] for user in users})
    relaying.wakeup.notify()


async def follows(ledger: Ledger, running: Running) -> bool:
    """Whether a sidecar's copy is complete, at the database's position, and holds just its documents."""
    copy = running.project.replica.copy
    return copy is not None and copy.complete and copy.position == await ledger.head() and await _equal(ledger, copy)


async def until_followed(ledger: Ledger, *sidecars: Running, seconds: float = 30.0) -> None:
    """Wait until each sidecar follows."""
    for running in sidecars:
        await eventually(lambda one=running: follows(ledger, one), seconds)  # type: ignore[misc]


@asynccontextmanager
async def never_wrong(running: Running, users: Sequence[str]) -> AsyncIterator[None]:
    """Ask the sidecar all the while: who has `pro` keeps it, a stranger never gets it, revisions never go back."""
    wrong: list[object] = []
    asked = 0

    async def ask() -> None:
        nonlocal asked
        seen = (0, 0)
        while True:
            for user in (*users, "stranger"):
                answer = await running.check(user)
                at = (answer["epoch"], answer["revision"])
                if answer["allowed"] is not (user != "stranger") or at < seen:
                    wrong.append(answer)
                seen, asked = max(seen, at), asked + 1
            await asyncio.sleep(0.01)

    asking = asyncio.create_task(ask())
    try:
        yield
        before = asked
        await eventually(lambda: _more(asked, before))
    finally:
        asking.cancel()
        (outcome,) = await asyncio.gather(asking, return_exceptions=True)
    assert wrong == []
    assert isinstance(outcome, asyncio.CancelledError), outcome


async def _more(asked: int, before: int) -> bool:
    return asked > before


async def _equal(ledger: Ledger, copy: Copy) -> bool:
    rows = await ledger.query("SELECT user_id, digest FROM documents WHERE NOT is_empty")
    held = {row.user_id: copy.document(UserId(row.user_id)) for row in rows}
    return copy.count == len(rows) and all(
        (document := held[row.user_id]) is not None
        and documents.digest_of(document) == int.from_bytes(row.digest, "big")
        for row in rows
    )
