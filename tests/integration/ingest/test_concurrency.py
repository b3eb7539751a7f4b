"""Several sources of one user, several writers, any order: nothing is lost and nothing depends on who came first."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest
from tests.support.stripe_objects import MONTH, NEW, NOW, OLD, Json
from writer import recompute
from writer.apply import objects, owners
from writer.recompute import Recompute, UserKey

CREATED, UPDATED, DELETED = (f"customer.subscription.{name}" for name in ("created", "updated", "deleted"))

Rush = Callable[[Ingest, int], Any]


async def two_subscriptions(ingest: Ingest, turn: int) -> None:
    """Two subscriptions of one user begin at the same moment, each in a transaction of its own."""
    user = {"user_id": f"user-{turn}", "project_id": "shop"}
    names = [f"sub_{turn}_{side}" for side in "ab"]
    await asyncio.gather(
        *(
            ingest.deliver(stripe.event(CREATED, stripe.subscription(name, customer=f"cus_{name}", metadata=user)))
            for name in names
        )
    )


async def subscription_and_grant(ingest: Ingest, turn: int) -> None:
    """A subscription begins while an operator grants the same user something."""
    user = {"user_id": f"user-{turn}", "project_id": "shop"}
    await asyncio.gather(
        ingest.deliver(
            stripe.event(CREATED, stripe.subscription(f"sub_{turn}", customer=f"cus_{turn}", metadata=user))
        ),
        ingest.grant(f"user-{turn}", "archive"),
    )


async def lost_sources(ingest: Ingest, rush: Rush, turns: int) -> int:
    """How many of the turns ended with a document that misses one of its two sources."""
    lost = 0
    for turn in range(turns):
        await rush(ingest, turn)
        lost += len(await ingest.held(f"user-{turn}")) != 2
    return lost


@pytest.mark.parametrize("rush", [two_subscriptions, subscription_and_grant])
async def test_two_sources_at_the_same_moment_are_both_held(ingest: Ingest, rush: Rush) -> None:
    """Whoever comes second reads the first one's source, because both hold the user's lock while they read."""
    assert await lost_sources(ingest, rush, turns=15) == 0


@pytest.mark.parametrize("rush", [two_subscriptions, subscription_and_grant])
async def test_without_the_users_lock_a_source_is_lost(
    ingest: Ingest, rush: Rush, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above sees what it looks for: with users found but not locked, sources do get lost."""
    meet = asyncio.Barrier(2)

    async def unlocked(connection: AsyncConnection, keys: Iterable[UserKey]) -> dict[UserKey, int]:
        wanted = sorted(set(keys))
        for key in wanted:
            await connection.execute(_ADD, {"project": key.project_id, "user": key.user_id})
        rows = await connection.execute(_FIND, {"users": [key.user_id for key in wanted]})
        return {UserKey(row.project_id, row.user_id): row.id for row in rows}

    async def side_by_side(connection: AsyncConnection, refs: Collection[int]) -> Any:
        # Without a lock nothing else makes them meet; with one they could not, and would wait here for ever.
        found = await read(connection, refs)
        await meet.wait()
        return found

    read = recompute._read_states
    await ingest.query("INSERT INTO users (project_id, user_id) VALUES (:p, 'user-0')", p=ingest.project_id)
    monkeypatch.setattr(owners, "lock_users", unlocked)
    monkeypatch.setattr("tests.support.ingest.lock_users", unlocked)
    monkeypatch.setattr(recompute, "_read_states", side_by_side)
    assert await lost_sources(ingest, rush, turns=1) == 1


async def refund_at_the_moment_of_purchase(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have written and computed before either commits, unless a lock keeps them apart."""
    users, meet = Recompute.users, asyncio.Barrier(2)

    async def together(*given: Any) -> Any:
        revisions = await users(*given)
        with suppress(TimeoutError):  # kept apart: the first gives up waiting, and commits
            async with asyncio.timeout(0.5):
                await meet.wait()
        return revisions

    monkeypatch.setattr(Recompute, "users", together)
    ingest.stripe.hold(stripe.session())
    await asyncio.gather(
        ingest.deliver(stripe.event("checkout.session.completed", stripe.as_payload(stripe.session()))),
        ingest.deliver(stripe.event("refund.created", stripe.refund())),
    )


async def test_a_refund_at_the_moment_of_its_purchase_revokes(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both hold the payment intent's lock, so that whoever comes second sees the other."""
    await refund_at_the_moment_of_purchase(ingest, monkeypatch)
    assert await ingest.held() == {}


async def test_without_the_payment_intents_lock_a_refund_is_lost(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above sees what it looks for: a refund that locks only itself misses its purchase, and is missed."""
    lock = objects.lock

    async def own_only(connection: AsyncConnection, ids: Collection[str]) -> Any:
        return await lock(connection, [name for name in ids if not name.startswith("pi_")])

    monkeypatch.setattr(objects, "lock", own_only)
    await refund_at_the_moment_of_purchase(ingest, monkeypatch)
    assert await ingest.held() == {"cs_1 archive": None}


def life() -> Sequence[Json]:
    """A subscription's events from its beginning to its end, in both shapes; some share a second."""
    return [
        stripe.event(CREATED, stripe.subscription(status="incomplete", version=OLD), NOW),
        stripe.event(UPDATED, stripe.subscription(version=OLD), NOW),
        stripe.event(UPDATED, stripe.subscription(end=NOW + 2 * MONTH), NOW + MONTH),
        stripe.event(UPDATED, stripe.subscription(end=NOW + 2 * MONTH, metadata=BOB), NOW + MONTH + 5),
        stripe.event(DELETED, ENDED, NOW + 2 * MONTH),
        stripe.event("invoice.paid", stripe.invoice(status="paid", version=NEW), NOW + MONTH),
        stripe.event("invoice.payment_failed", stripe.invoice(version=OLD), NOW),
    ]


BOB = {"user_id": "bob", "project_id": "shop"}
ENDED = stripe.subscription(
    status="canceled", end=NOW + 2 * MONTH, metadata=BOB, ended_at=NOW + 2 * MONTH, canceled_at=NOW + 2 * MONTH
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_order_and_duplication_ends_alike(ingest: Ingest, data: st.DataObject) -> None:
    """However a life's events arrive, one by one or in heaps, the documents are those of Stripe's final state."""
    events = life()
    order = data.draw(st.permutations(range(len(events))))
    order += data.draw(st.lists(st.sampled_from(order), max_size=4))
    heaps = data.draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    await ingest.query(_FORGET)
    ingest.stripe.hold(ENDED, stripe.invoice(status="paid"))
    ingest.clock.at = NOW + 3 * MONTH
    for number, at_once in zip(order, heaps, strict=True):
        event = await ingest.receive(events[number])
        if at_once and event.object_id is not None:
            await ingest.pipeline.process(event.object_id)
    for object_id in ("in_1", "sub_1"):
        await ingest.pipeline.process(object_id)
        await ingest.pipeline.process(object_id)
    assert set((await ingest.statuses()).values()) <= {"applied", "superseded"}
    assert await ingest.held("ada") == {}
    (row,) = await ingest.query("SELECT status FROM invoices")
    assert row.status == "paid"
    assert await ingest.held("bob") == await _expected(ingest)


async def _expected(ingest: Ingest) -> dict[str, str | None]:
    """What the final state alone, applied to an empty database, grants."""
    await ingest.query(_FORGET)
    await ingest.deliver(stripe.event(DELETED, ENDED, NOW + 2 * MONTH))
    return await ingest.held("bob")


_FORGET = """
TRUNCATE webhook_events, stripe_objects, subscriptions, subscription_items, invoices, documents, entitlements
"""
_ADD = text("INSERT INTO users (project_id, user_id) VALUES (:project, :user) ON CONFLICT DO NOTHING")
_FIND = text("SELECT id, project_id, user_id FROM users WHERE user_id = ANY(:users)")
