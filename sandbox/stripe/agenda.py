"""What falls due as time passes: renewals, trial ends, cancellations, retries, expiries; each at its moment."""

import heapq
from collections.abc import Callable
from typing import Final

from sandbox.stripe import checkout_completion, invoicing, pending_updates, schedules, subscription_state
from sandbox.stripe.invoices import owner_of
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.subscribed_items import items_of
from sandbox.stripe.subscription_state import ENDED

TRIAL_WARNING: Final = 3 * 86400


class Agenda:
    """The next due moment of every object, for the server's clock (None) and for each test clock."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._heaps: dict[str | None, list[tuple[int, str, str]]] = {}

    def run_until(self, target: int, clock: str | None = None) -> int:
        """Let everything due by `target` happen; answers how many things did."""
        done = 0
        self._note_changes()
        heap = self._heaps.setdefault(clock, [])
        while heap and heap[0][0] <= target:
            moment, kind, object_id = heapq.heappop(heap)
            item = self._ledger.store.find(kind, object_id)
            if item is None or DUE[kind](self._ledger, item) != moment:
                continue
            with self._ledger.clock.at(moment):
                RUN[kind](self._ledger, item)
            self._ledger.store.touched.add((kind, object_id))
            self._note_changes()
            done += 1
        return done

    def _note_changes(self) -> None:
        store = self._ledger.store
        for kind, object_id in store.touched:
            item = store.find(kind, object_id) if kind in DUE else None
            moment = DUE[kind](self._ledger, item) if item else None
            if item is not None and moment is not None:
                heapq.heappush(self._heaps.setdefault(_clock_of(self._ledger, item), []), (moment, kind, object_id))
        store.touched.clear()


def _clock_of(ledger: Ledger, item: JsonObject) -> str | None:
    customer = ledger.store.find("customer", item["customer"])
    clock: str | None = customer["test_clock"] if customer else None
    return clock


def _subscription_due(ledger: Ledger, item: JsonObject) -> int | None:
    if item["status"] in ENDED:
        return None
    if item["status"] == "incomplete":
        return int(item["created"] + ledger.settings.incomplete_expires_after)
    moments = [item["cancel_at"], (item["pause_collection"] or {}).get("resumes_at")]
    moments.append((item["pending_update"] or {}).get("expires_at"))
    if item["status"] == "trialing":
        moments += [item["trial_end"], _warning_at(ledger, item)]
    elif item["status"] != "paused":
        moments += [entry["current_period_end"] for entry in items_of(ledger, item)]
    return min((moment for moment in moments if moment is not None), default=None)


def _warning_at(ledger: Ledger, item: JsonObject) -> int | None:
    if ledger.store.note("trial_warned").get(item["id"]) == item["trial_end"]:
        return None
    return int(max(item["trial_end"] - TRIAL_WARNING, item["created"]))


def _run_subscription(ledger: Ledger, item: JsonObject) -> None:
    now = ledger.clock.now()
    resumes = (item["pause_collection"] or {}).get("resumes_at")
    lapses = (item["pending_update"] or {}).get("expires_at")
    if item["status"] == "incomplete":
        subscription_state.expire_incomplete(ledger, item)
    elif item["cancel_at"] is not None and item["cancel_at"] <= now:
        subscription_state.cancel_now(ledger, item, reason="cancellation_requested")
    elif lapses is not None and lapses <= now:
        pending_updates.lapse(ledger, item)
    elif resumes is not None and resumes <= now:
        with ledger.changing(item, "customer.subscription.updated"):
            item["pause_collection"] = None
    elif item["status"] != "trialing":
        subscription_state.renew(ledger, item)
    elif item["trial_end"] <= now:
        subscription_state.end_trial(ledger, item)
    else:
        ledger.store.note("trial_warned")[item["id"]] = item["trial_end"]
        ledger.emit("customer.subscription.trial_will_end", item)


def _invoice_due(ledger: Ledger, item: JsonObject) -> int | None:
    if item["status"] == "open" and item["collection_method"] == "send_invoice":
        return None if item["id"] in ledger.store.note("overdue") else int(item["due_date"])
    if item["auto_advance"] and item["status"] in ("draft", "open"):
        name = "automatically_finalizes_at" if item["status"] == "draft" else "next_payment_attempt"
        moment: int | None = item[name]
        return moment
    return None


def _run_invoice(ledger: Ledger, item: JsonObject) -> None:
    subscription = owner_of(ledger, item)
    if subscription is not None and item["status"] == "open" and item["collection_method"] == "send_invoice":
        subscription_state.become_overdue(ledger, subscription, item)
    elif subscription is None and item["status"] == "draft":
        invoicing.finalize(ledger, item)
        invoicing.charge_invoice(ledger, item)
    elif subscription is None or subscription["status"] in ENDED:
        with ledger.changing(item, "invoice.updated"):
            item |= {"auto_advance": False, "next_payment_attempt": None}
    elif item["status"] == "draft":
        subscription_state.finalize_and_collect(ledger, item)
    else:
        item["next_payment_attempt"] = None
        subscription_state.collect(ledger, subscription, item)


def _session_due(_: Ledger, item: JsonObject) -> int | None:
    return int(item["expires_at"]) if item["status"] == "open" else None


DUE: Final[dict[str, Callable[[Ledger, JsonObject], int | None]]] = {
    "checkout.session": _session_due,
    "invoice": _invoice_due,
    "subscription": _subscription_due,
    "subscription_schedule": schedules.due,
}
RUN: Final[dict[str, Callable[[Ledger, JsonObject], None]]] = {
    "checkout.session": checkout_completion.expire,
    "invoice": _run_invoice,
    "subscription": _run_subscription,
    "subscription_schedule": schedules.run,
}
