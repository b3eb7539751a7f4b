"""Events that Stripe signed and nobody can read: they are parked, and everything else goes on."""

from random import Random
from typing import Final

from tests.lives.account import Json
from tests.lives.town import Town

PREFIX: Final = "evt_broken"


def events(town: Town, rng: Random, tick: int) -> list[Json]:
    """One about a subscription that never was, and, where there are any, one about a living one."""
    living = [one["id"] for one in town.standin.store.all("subscription")]
    named = [f"sub_broken{tick}", *([rng.choice(living)] if living else [])]
    return [_event(town, f"{PREFIX}{tick}n{number}", name) for number, name in enumerate(named)]


def _event(town: Town, event_id: str, subscription: str) -> Json:
    item = {"id": subscription, "object": "subscription", "customer": "cus_x", "status": "no such status"}
    return {
        "id": event_id,
        "object": "event",
        "api_version": town.standin.ledger.settings.default_version,
        "created": town.now,
        "data": {"object": item},
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": "customer.subscription.updated",
    }
