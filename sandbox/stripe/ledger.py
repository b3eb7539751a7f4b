"""The account: objects, clock and events together, which every resource works on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from sandbox.stripe.clock import Clock
from sandbox.stripe.shapes import CURRENT_VERSION, JsonObject, copied
from sandbox.stripe.store import Store
from sandbox.stripe.versions import links_of


@dataclass(frozen=True, slots=True)
class Settings:
    """How this account is set up; times are in seconds.

    `finalize_after`: a renewal's draft waits so long (Stripe: an hour). `dunning`: waits between payment attempts.
    `dunning_end`: what a subscription becomes when all failed: canceled, unpaid or past_due.
    `created_status`: the status in Checkout's `customer.subscription.created`, incomplete or active.
    `portal_cancels_by`: cancel_at_period_end, or cancel_at as the portal does in flexible billing mode.
    """

    livemode: bool = False
    default_version: str = CURRENT_VERSION
    finalize_after: int = 0
    dunning: tuple[int, ...] = (3 * 86400, 5 * 86400, 7 * 86400)
    dunning_end: str = "canceled"
    incomplete_expires_after: int = 23 * 3600
    created_status: str = "incomplete"
    portal_cancels_by: str = "cancel_at_period_end"


@dataclass(slots=True)
class Cause:
    """The API request that events name as theirs; both None for what Stripe does by itself."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(slots=True)
class Ledger:
    """One Stripe account. `base_url` is where its pages are reached."""

    store: Store
    clock: Clock
    settings: Settings = field(default_factory=Settings)
    base_url: str = ""
    cause: Cause = field(default_factory=Cause)
    listeners: list[Callable[[JsonObject], None]] = field(default_factory=list)

    def new(self, kind: str, prefix: str, **fields: Any) -> JsonObject:
        """A new object with id, creation time and `fields`, held but not yet announced."""
        head = {"id": fields.pop("id", None) or self.store.new_id(prefix), "object": kind}
        times = {"created": self.clock.now(), "livemode": self.settings.livemode}
        return self.store.put(head | times | fields)

    def emit(self, event_type: str, item: JsonObject, before: JsonObject | None = None) -> JsonObject:
        """Record an event with a snapshot of `item` and tell the listeners; `before` gives what was changed."""
        cause = {"id": self.cause.request_id, "idempotency_key": self.cause.idempotency_key}
        event = self.new(
            "event",
            "evt",
            api_version=self.settings.default_version,
            type=event_type,
            data={"object": copied(item)},
            pending_webhooks=0,
            request=cause,
        )
        self.store.note("event_links")[event["id"]] = links_of(self.store, item)
        if before is not None:
            self.store.note("event_before")[event["id"]] = before
        for listener in self.listeners:
            listener(event)
        return event

    @contextmanager
    def changing(self, item: JsonObject, event_type: str) -> Iterator[None]:
        """Announce `event_type` at the end, with what changed; silent when nothing did."""
        before = copied(item)
        yield
        if item != before:
            self.store.put(item)
            self.emit(event_type, item, before)

    @contextmanager
    def on_clock_of(self, customer_id: str | None) -> Iterator[None]:
        """Time as the customer's test clock has it, where the customer is on one."""
        customer = self.store.find("customer", customer_id) or {}
        frozen = self.store.find("test_helpers.test_clock", customer.get("test_clock"))
        with self.clock.at(frozen["frozen_time"]) if frozen else nullcontext():
            yield
