"""The pipeline: what is committed is worked on, by somebody, in the end, and failures hold nobody else up."""

import asyncio
from typing import Any

import pytest

from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest, opened, until
from tests.support.stripe_objects import NOW
from writer.apply import objects
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError
from writer.schedule import Schedule

UPDATED = "customer.subscription.updated"
SETTLED = "SELECT NOT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')"


async def test_a_handed_event_is_applied(ingest: Ingest) -> None:
    """What the webhook hands over needs no polling."""
    await ingest.receive(stripe.event(UPDATED, stripe.subscription()))
    async with ingest.working():
        ingest.pipeline.hand("sub_1")
        await until(ingest, SETTLED)
    assert list(await ingest.held()) == ["sub_1 export"]


async def test_another_writer_takes_over_after_the_claim(database_url: str) -> None:
    """A writer that died after its commit leaves a claim that expires; another finds the event by polling."""
    async with opened(database_url, claim=0.2) as ingest:
        await ingest.receive(stripe.event(UPDATED, stripe.subscription()))
        other = ingest.another("writer-2")
        task = asyncio.create_task(other.run())
        await until(ingest, SETTLED)
        await other.stop(within=5)
        await task
        assert list(await ingest.held()) == ["sub_1 export"]


async def test_a_claim_keeps_others_away(ingest: Ingest) -> None:
    """While one writer's claim lasts, another one's poll finds nothing; given back, it does."""
    await ingest.receive(stripe.event(UPDATED, stripe.subscription()))
    assert await ingest.another("writer-2")._pending.claim(10) == []
    await ingest.pending.release()
    assert await ingest.another("writer-2")._pending.claim(10) == ["sub_1"]


async def test_a_crash_in_the_transaction_loses_nothing(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off after the state was written and before the commit, nothing of it stands, and it is applied later."""
    advance = objects.advance

    async def cut_off(*_: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(objects, "advance", cut_off)
    await ingest.receive(stripe.event(UPDATED, stripe.subscription()))
    with pytest.raises(asyncio.CancelledError):
        await ingest.pipeline.process("sub_1")
    assert await ingest.query("SELECT id FROM subscriptions UNION SELECT id FROM stripe_objects") == []
    monkeypatch.setattr(objects, "advance", advance)
    await ingest.pipeline.process("sub_1")
    assert list(await ingest.held()) == ["sub_1 export"]


async def test_a_bad_payload_is_parked_at_once(ingest: Ingest) -> None:
    """It is given up with the field that is wrong, an older event of the object counts, and others go on."""
    broken = stripe.subscription()
    broken["items"]["data"][0]["price"] = None
    await ingest.receive(stripe.event(UPDATED, stripe.subscription()))
    bad = await ingest.receive(stripe.event(UPDATED, broken, NOW + 9))
    await ingest.receive(stripe.event(UPDATED, stripe.subscription("sub_2")))
    async with ingest.working():
        for object_id in ("sub_1", "sub_2"):
            ingest.pipeline.hand(object_id)
        await until(ingest, SETTLED)
    assert (await ingest.statuses())[bad.id] == "parked"
    (row,) = await ingest.query("SELECT last_error FROM webhook_events WHERE status = 'parked'")
    assert row.last_error == "subscription_item.price.product must be an id"
    assert sorted(await ingest.held()) == ["sub_1 export", "sub_2 export"]


@pytest.mark.parametrize(
    ("type_", "object_", "reason"),
    [
        ("price.updated", stripe.price(product=""), "price.product must be an id"),
        ("price.updated", stripe.price(currency=None), "price.currency must be a text"),
        ("price.updated", stripe.price(unit_amount=10**40), "price.unit_amount must be a whole number"),
        ("price.updated", stripe.price(metadata=[1]), "price.metadata must be an object"),
        ("product.updated", stripe.product(name="a\0b"), "product.name must be a text"),
    ],
)
async def test_what_cannot_be_mirrored_is_parked_at_once(
    ingest: Ingest, type_: str, object_: dict[str, Any], reason: str
) -> None:
    """A product or price that cannot be read is given up with the field that is wrong, not tried for days."""
    ingest.stripe.hold(object_)
    bad = await ingest.receive(stripe.event(type_, object_))
    await ingest.pipeline.process(object_["id"])
    (row,) = await ingest.query("SELECT id, status, last_error FROM webhook_events")
    assert (row.id, row.status, row.last_error) == (bad.id, "parked", reason)


@pytest.mark.parametrize("fault", [StripeUnavailableError("no answer"), RuntimeError("nobody foresaw it")])
async def test_what_keeps_failing_is_parked_after_the_last_try(ingest: Ingest, fault: Exception) -> None:
    """Put off again and again, then parked with its reason, while other objects are applied."""
    ingest.stripe.fault = fault
    await ingest.receive(stripe.thin_event("subscription", "sub_1"))
    await ingest.receive(stripe.event(UPDATED, stripe.subscription("sub_2")))
    async with ingest.working():
        ingest.pipeline.hand("sub_1")
        ingest.pipeline.hand("sub_2")
        await until(ingest, SETTLED)
    (row,) = await ingest.query("SELECT attempts, last_error FROM webhook_events WHERE status = 'parked'")
    assert row.attempts == 3
    assert str(fault) in row.last_error
    assert list(await ingest.held()) == ["sub_2 export"]


async def test_what_stripe_asks_to_wait_is_waited(ingest: Ingest) -> None:
    """Retry-After counts, also where the schedule alone would try again within a second."""
    ingest.stripe.fault = StripeUnavailableError("it answers 503", 1_800.0)
    await ingest.deliver(stripe.thin_event("subscription", "sub_1"))
    (row,) = await ingest.query(
        "SELECT status, attempts, next_attempt_at >= received_at + interval '30 minutes' AS waits FROM webhook_events"
    )
    assert (row.status, row.attempts, row.waits) == ("pending", 1, True)


async def test_a_refusal_is_parked_at_once(ingest: Ingest) -> None:
    """What Stripe refuses it would refuse again."""
    ingest.stripe.fault = StripeRefusedError("invalid_request", "no")
    await ingest.deliver(stripe.thin_event("subscription", "sub_1"))
    assert list((await ingest.statuses()).values()) == ["parked"]


async def test_a_slow_object_holds_nobody_up(ingest: Ingest) -> None:
    """While one object waits for Stripe, others are applied."""
    ingest.stripe.gate = asyncio.Event()
    ingest.stripe.hold(stripe.subscription())
    await ingest.receive(stripe.thin_event("subscription", "sub_1"))
    await ingest.receive(stripe.event(UPDATED, stripe.subscription("sub_2")))
    async with ingest.working():
        ingest.pipeline.hand("sub_1")
        ingest.pipeline.hand("sub_2")
        await until(ingest, "SELECT count(*) = 1 FROM webhook_events WHERE status = 'applied'")
        assert list(await ingest.held()) == ["sub_2 export"]
        ingest.stripe.gate.set()
        await until(ingest, SETTLED)


async def test_an_event_that_comes_during_work_is_worked_on_next(ingest: Ingest) -> None:
    """An object is never in two workers' hands, and what was handed meanwhile is not forgotten."""
    ingest.stripe.gate = asyncio.Event()
    ingest.stripe.hold(stripe.subscription())
    await ingest.receive(stripe.thin_event("subscription", "sub_1"))
    async with ingest.working():
        ingest.pipeline.hand("sub_1")
        while not ingest.stripe.asked["sub_1"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        ingest.clock.at = NOW + 99
        await ingest.receive(stripe.event(UPDATED, stripe.subscription(status="unpaid"), NOW + 99))
        ingest.pipeline.hand("sub_1")
        ingest.stripe.gate.set()
        await until(ingest, SETTLED)
    assert await ingest.held() == {}


async def test_two_writers_on_one_backlog_apply_everything_once(database_url: str) -> None:
    """Both poll the same events, skip what the other has, and end with every object applied."""
    async with opened(database_url, claim=0.05) as ingest:
        for number in range(40):
            await ingest.receive(stripe.event(UPDATED, stripe.subscription(f"sub_{number}")))
        writers = [ingest.another("writer-2"), ingest.another("writer-3")]
        tasks = [asyncio.create_task(writer.run()) for writer in writers]
        await until(ingest, SETTLED)
        await asyncio.gather(*(writer.stop(within=5) for writer in writers), *tasks)
        assert len(await ingest.held()) == 40
        assert set((await ingest.statuses()).values()) == {"applied"}


async def test_stopping_finishes_what_is_begun(ingest: Ingest) -> None:
    """What is in work is finished, what only waits is left to others at once."""
    ingest.stripe.gate = asyncio.Event()
    ingest.stripe.hold(stripe.subscription())
    await ingest.receive(stripe.thin_event("subscription", "sub_1"))
    task = asyncio.create_task(ingest.pipeline.run())
    ingest.pipeline.hand("sub_1")
    while not ingest.stripe.asked["sub_1"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    waiting = await ingest.receive(stripe.event(UPDATED, stripe.subscription("sub_2")))
    stopping = asyncio.create_task(ingest.pipeline.stop(within=10))
    await asyncio.sleep(0)
    ingest.stripe.gate.set()
    await asyncio.gather(stopping, task)
    assert list(await ingest.held()) == ["sub_1 export"]
    (row,) = await ingest.query("SELECT status, claimed_by FROM webhook_events WHERE id = :id", id=waiting.id)
    assert (row.status, row.claimed_by) == ("pending", None)


def test_backoff_grows_with_jitter_up_to_its_longest() -> None:
    """Each pause lies between half and all of the doubled one before; what Stripe asked for is the least."""
    schedule = Schedule(first=1, longest=60, tries=5)
    for failures, full in ((1, 1), (2, 2), (4, 8), (20, 60), (5000, 60)):
        pauses = {schedule.pause(failures) for _ in range(50)}
        assert len(pauses) > 1
        assert all(full / 2 <= pause <= full for pause in pauses)
    assert schedule.pause(1, asked=30) >= 30
    assert [schedule.is_last(n) for n in (4, 5)] == [False, True]
