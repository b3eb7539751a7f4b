"""The inbox: events that arrive together are stored together, and each gets its own answer."""

import asyncio
from dataclasses import replace

from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest, Stored
from writer.domain.stripe.event import parse_event
from writer.inbox import Origin
from writer.supervision import DATABASE_FAULTS


async def store(ingest: Ingest, *sent: stripe.Json) -> list[Stored | BaseException]:
    """Store all at once."""
    events = [parse_event(one) for one in sent]
    return await asyncio.gather(
        *(
            ingest.inbox.store(event, stripe.body_of(one), Origin.WEBHOOK, event.ignored(livemode=False))
            for event, one in zip(events, sent, strict=True)
        ),
        return_exceptions=True,
    )


async def test_events_that_arrive_together_are_each_answered(ingest: Ingest) -> None:
    """A burst with a duplicate in it and an event that is not ours gives every one its own outcome, and a row each."""
    first, second = (stripe.event("customer.subscription.updated", stripe.subscription(f"sub_{n}")) for n in (1, 2))
    other = stripe.event("payment_intent.created", {"id": "pi_1", "object": "payment_intent"})
    outcomes = await store(ingest, first, second, first, other)
    assert outcomes == [Stored.PENDING, Stored.PENDING, Stored.DUPLICATE, Stored.IGNORED]
    assert await store(ingest, second) == [Stored.DUPLICATE]
    statuses = await ingest.statuses()
    assert statuses == {first["id"]: "pending", second["id"]: "pending", other["id"]: "ignored"}


async def test_an_event_that_postgres_refuses_takes_no_other_with_it(ingest: Ingest) -> None:
    """Text that Postgres cannot hold fails its own event only."""
    sent = [stripe.event("customer.subscription.updated", stripe.subscription(f"sub_{n}")) for n in range(6)]
    events = [parse_event(one) for one in sent]
    events[3] = replace(events[3], api_version="2026\x00")
    outcomes = await asyncio.gather(
        *(ingest.inbox.store(event, b"{}", Origin.WEBHOOK, None) for event in events), return_exceptions=True
    )
    assert isinstance(outcomes.pop(3), DATABASE_FAULTS)
    assert outcomes == [Stored.PENDING] * 5
    assert len(await ingest.statuses()) == 5


async def test_what_gives_up_waiting_is_stored_all_the_same(ingest: Ingest) -> None:
    """A caller that goes away while its event is being stored neither loses it nor disturbs the others."""
    sent = [stripe.event("customer.subscription.updated", stripe.subscription(f"sub_{n}")) for n in range(3)]
    tasks = [asyncio.create_task(ingest.inbox.store(parse_event(one), b"{}", Origin.WEBHOOK, None)) for one in sent]
    await asyncio.sleep(0)
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes.pop(1), asyncio.CancelledError)
    assert outcomes == [Stored.PENDING] * 2
    assert len(await ingest.statuses()) == 3
