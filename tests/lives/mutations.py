"""The writer broken on purpose, to see that the lives notice. Each breaks one rule in the process that calls it."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import SECOND, Instant
from writer import outbox, recompute
from writer.apply import objects, owners, payment
from writer.cache import redis_cache
from writer.cache.scripts import Mode
from writer.checkout import checkout, customers
from writer.db.direct import Statement
from writer.domain import entitle
from writer.domain.sources import Item, SubscriptionSource
from writer.domain.stripe import watermark
from writer.domain.stripe.watermark import Verdict, Watermark
from writer.reconcile.repair import Repair
from writer.sweep.reader import EventReader


def _ties_are_newer() -> None:
    """Of two states of one second the one that comes last wins."""
    judge = Watermark.event

    def event(self: Watermark, created: Instant) -> Verdict:
        verdict = judge(self, created)
        return Verdict.NEWER if verdict is Verdict.UNCLEAR else verdict

    _put(Watermark, "event", event)


def _older_is_applied() -> None:
    """An event that comes late overwrites what is newer."""
    _put(Watermark, "event", lambda _, __: Verdict.NEWER)


def _no_skew() -> None:
    """A fetch is held for newer than every event before it, to the second."""
    _put(watermark, "SKEW", -SECOND)


def _no_grace_when_past_due() -> None:
    """Who is late is cut off at the period's end."""
    judge = entitle.subscription_item_end

    def end(subscription: SubscriptionSource, item: Item, grace: entitle.Grace) -> Instant | None:
        return judge(replace(subscription, unpaid_since=None), item, grace)

    _put(entitle, "subscription_item_end", end)


def _refunds_wait_for_nobody() -> None:
    """A refund that comes before its purchase is forgotten."""
    _replace_text(payment, "_UPSERT_REFUND", "VALUES (:id, :payment_intent, :charge, :amount, :currency, :status, "
        ":created_at)", "SELECT :id, :payment_intent, :charge, :amount, :currency, :status, :created_at "
        "WHERE EXISTS (SELECT FROM purchases WHERE payment_intent = :payment_intent)")  # fmt: skip


def _failed_refunds_count() -> None:
    """A refund that failed takes the purchase away all the same."""
    _replace_text(recompute, "_STATES", "AND r.status NOT IN ('failed', 'canceled')", "")


def _nothing_is_free() -> None:
    """Quantity 0 grants like 1."""
    rows = entitle._rows

    def granted(item: Item, *rest: Any) -> Any:
        return rows(replace(item, quantity=item.quantity or 1), *rest)

    _put(entitle, "_rows", granted)


def _cancellation_has_grace() -> None:
    """A subscription that ends with its period ends three days later."""
    judge = entitle.subscription_item_end

    def end(subscription: SubscriptionSource, item: Item, grace: entitle.Grace) -> Instant | None:
        return judge(replace(subscription, cancel_at_period_end=False, cancel_at=None), item, grace)

    _put(entitle, "subscription_item_end", end)


def _users_are_not_locked() -> None:
    """Two sources of one user are computed side by side."""
    _replace_text(recompute, "_LOCK_USER", "FOR NO KEY UPDATE", "")
    _replace_text(recompute, "_LOCK_USERS", "FOR NO KEY UPDATE OF u", "")
    _replace_text(recompute, "_LOCK_REFS", "FOR NO KEY UPDATE", "")


def _objects_are_not_locked() -> None:
    """Two states of one object are judged side by side."""

    async def lock(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Watermark]:
        return {one: await objects.read(connection, one) for one in ids}

    _put(objects, "lock", lock)


def _old_holders_are_forgotten() -> None:
    """What moves to another user is not taken from the one who had it."""

    async def lock(connection: AsyncConnection, _: object, after: Iterable[Any]) -> dict[Any, int]:
        return await recompute.lock_users(connection, list(after))

    _put(owners, "lock", lock)


def _the_history_is_late() -> None:
    """A change is recorded as of an hour after it was made."""
    was, becomes = "user_ref, user_id, computed_at, catalog_version", "computed_at + interval '1 hour'"
    _replace_text(outbox, "_APPEND_USERS", was, was.replace("computed_at", becomes))


def _redis_is_told_and_not_written() -> None:
    """Documents are published, and written at Redis only where there is one already."""
    write: Any = redis_cache.write_document

    def replace_only(*arguments: Any) -> Any:
        return write(*arguments[:5], Mode.REPLACE)

    _put(redis_cache, "write_document", replace_only)


def _customers_are_made_twice() -> None:
    """Two first purchases at once ask Stripe for a customer each."""
    _put(customers, "_idempotency_key", lambda *_: f"customer-{uuid4().hex}")


def _what_is_held_is_sold_again() -> None:
    """Nobody looks whether the product is held."""

    async def held(*_: Any) -> None:
        return None

    _put(checkout, "_held", held)


def _reconcile_only_looks() -> None:
    """What a run finds to be different stays as it is."""

    async def listed(*_: Any) -> None:
        return None

    _put(Repair, "listed", listed)


def _polling_takes_nothing_in() -> None:
    """The event list is read, and what is missing stays missing."""

    async def take_in(*_: Any) -> int:
        return 0

    _put(EventReader, "_take_in", take_in)


def _put(place: Any, name: str, value: Any) -> None:
    if not hasattr(place, name):
        raise AssertionError(f"{place} has no {name} any more")
    setattr(place, name, value)


def _replace_text(module: Any, name: str, old: str, new: str) -> None:
    statement = getattr(module, name)
    straight = isinstance(statement, Statement)
    sql = " ".join((statement.sql if straight else str(statement)).split())
    changed = sql.replace(" ".join(old.split()), new)
    if changed == sql:
        raise AssertionError(f"{name} does not hold {old!r} any more")
    _put(module, name, Statement(changed) if straight else text(changed))


MUTATIONS: Final[dict[str, Callable[[], None]]] = {
    one.__name__.removeprefix("_"): one
    for one in (
        _ties_are_newer,
        _older_is_applied,
        _no_skew,
        _no_grace_when_past_due,
        _refunds_wait_for_nobody,
        _failed_refunds_count,
        _nothing_is_free,
        _cancellation_has_grace,
        _users_are_not_locked,
        _objects_are_not_locked,
        _old_holders_are_forgotten,
        _the_history_is_late,
        _redis_is_told_and_not_written,
        _customers_are_made_twice,
        _what_is_held_is_sold_again,
        _reconcile_only_looks,
        _polling_takes_nothing_in,
    )
}
"""By name, as `python -m tests.lives.prove --mutation NAME` takes them."""
