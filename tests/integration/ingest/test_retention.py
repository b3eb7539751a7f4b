"""Old rows go, what decides stays, and an event whose row went is judged as rightly as before."""

import asyncio
from typing import Any

from prometheus_client import CollectorRegistry

from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest
from tests.support.stripe_objects import NOW
from writer import retention
from writer.retention import Retention
from writer.settings import RetentionSettings

UPDATED = "customer.subscription.updated"
DAY = 86_400.0
AGE_EVENTS = """
UPDATE webhook_events SET received_at = received_at - interval '91 days',
    processed_at = processed_at - interval '91 days'
"""


class Care:
    """Retention of an ingest's database."""

    def __init__(self, ingest: Ingest, *, history: float | None = 100 * DAY) -> None:
        self.registry = CollectorRegistry()
        settings = RetentionSettings(90 * DAY, history)
        self._retention = Retention(ingest.engine, settings, ingest.clock, self.registry)

    async def passes(self) -> dict[str, int]:
        """Everything that is due; rows that went, by kind."""
        gone: dict[str, int] = {}
        while (removed := await self._retention.step()) is not None:
            gone[removed.kind] = gone.get(removed.kind, 0) + removed.rows
        return gone


async def test_events_go_when_they_are_old_and_done(ingest: Ingest) -> None:
    """Applied, superseded and ignored ones go after their time; pending and parked ones stay, however old."""
    await ingest.deliver(
        stripe.event(UPDATED, stripe.subscription()),
        stripe.event(UPDATED, stripe.subscription(), created=NOW - 100),
        stripe.event("account.updated", {"id": "acct_1", "object": "account"}),
    )
    await ingest.receive(stripe.event(UPDATED, stripe.subscription("sub_2")))
    await ingest.receive(stripe.event(UPDATED, stripe.subscription("sub_3")))
    await ingest.query("UPDATE webhook_events SET status = 'parked', processed_at = now() WHERE object_id = 'sub_3'")
    assert (await Care(ingest).passes())[retention.EVENTS] == 0
    await ingest.query(AGE_EVENTS)
    await ingest.query("UPDATE retention SET next_at = now()")
    care = Care(ingest)
    assert (await care.passes())[retention.EVENTS] == 3
    assert sorted((await ingest.statuses()).values()) == ["parked", "pending"]
    assert care.registry.get_sample_value("billing_retention_removed_rows_total", {"kind": retention.EVENTS}) == 3
    ((removed, finished),) = await ingest.query(
        "SELECT removed, finished_at IS NOT NULL FROM retention WHERE kind = 'events'"
    )
    assert (removed, finished) == (3, True)


async def test_an_event_that_comes_again_after_its_row_went_changes_nothing(ingest: Ingest) -> None:
    """Its object's watermark says that something as new is held: no revision, no other document."""
    older = stripe.event(UPDATED, stripe.subscription(status="canceled"), created=NOW - 500)
    newer = stripe.event(UPDATED, stripe.subscription(), created=NOW - 100)
    await ingest.deliver(older, newer)
    held, head = await ingest.held(), await _head(ingest)
    assert list(held) == ["sub_1 export"]
    await ingest.query(AGE_EVENTS)
    assert (await Care(ingest).passes())[retention.EVENTS] == 2
    assert await ingest.statuses() == {}
    ingest.stripe.hold(stripe.subscription())
    await ingest.deliver(older, newer)
    assert (await ingest.held(), await _head(ingest)) == (held, head)
    assert set((await ingest.statuses()).values()) <= {"superseded", "applied"}
    assert (await ingest.statuses())[older["id"]] == "superseded"


async def test_a_replay_and_a_pass_do_not_cross(ingest: Ingest) -> None:
    """An event that an operator holds just now is passed over."""
    await ingest.deliver(stripe.event(UPDATED, stripe.subscription()))
    await ingest.query(AGE_EVENTS)
    async with ingest.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE webhook_events SET status = 'pending'")
        assert (await Care(ingest).passes())[retention.EVENTS] == 0
    assert list((await ingest.statuses()).values()) == ["pending"]


async def test_the_past_is_told_as_far_back_as_it_is_kept(ingest: Ingest) -> None:
    """Of rows before the horizon the last stays, so that any later moment is known; without a period all stay."""
    for day, status in enumerate(("active", "canceled", "active")):
        await ingest.deliver(stripe.event(UPDATED, stripe.subscription(status=status), created=NOW + day * 1000))
    await _age(ingest, "entitlement_history", "revision")
    await _age(ingest, "subscription_history", "id")
    assert retention.HISTORY not in await Care(ingest, history=None).passes()
    gone = await Care(ingest, history=150 * DAY).passes()
    assert (gone[retention.HISTORY], gone[retention.SUBSCRIPTION_HISTORY]) == (1, 1)
    assert len(await ingest.query("SELECT 1 FROM entitlement_history")) == 2


async def test_checkouts_go_long_after_they_expired(ingest: Ingest) -> None:
    """Open and young ones stay."""
    await ingest.deliver(stripe.event(UPDATED, stripe.subscription()))
    for name, days in (("old", 91), ("young", 89)):
        await ingest.query(
            "INSERT INTO checkout_requests (session_id, project_id, user_ref, fingerprint, url, expires_at)"
            " SELECT :name, project_id, id, sha256('x'), 'u', now() - make_interval(days => :days) FROM users",
            name=name,
            days=days,
        )
    assert (await Care(ingest).passes())[retention.CHECKOUTS] == 1
    assert [row.session_id for row in await ingest.query("SELECT session_id FROM checkout_requests")] == ["young"]


async def test_writers_take_turns(ingest: Ingest) -> None:
    """Batches of several writers remove each row once, and none waits for another's lock."""
    many = 2 * retention.BATCH + 20
    await ingest.query(
        "INSERT INTO webhook_events (id, type, created, livemode, origin, payload, status, received_at, processed_at)"
        " SELECT 'evt_many' || g, 'x', now(), false, 'webhook', '', 'applied', now() - interval '91 days',"
        " now() - interval '91 days' FROM generate_series(1, :many) g",
        many=many,
    )
    gone = await asyncio.gather(*(Care(ingest).passes() for _ in range(3)))
    assert sum(one.get(retention.EVENTS, 0) for one in gone) == many
    assert await ingest.statuses() == {}


async def _head(ingest: Ingest) -> Any:
    return [tuple(row) for row in await ingest.query("SELECT epoch, revision FROM projects")]


async def _age(ingest: Ingest, table: str, order: str) -> None:
    """The first of three rows 300 days old, the second 200, the last of now."""
    await ingest.query(
        f"UPDATE {table} h SET recorded_at = now() - make_interval(days => (300 - 100 * (n.place - 1))::int)"
        f" FROM (SELECT {order} AS key, row_number() OVER (ORDER BY {order}) AS place FROM {table}) n"
        f" WHERE n.key = h.{order} AND n.place < 3"
    )
