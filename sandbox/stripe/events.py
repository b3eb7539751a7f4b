"""The event list, one event, and sending one again."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Final

from sandbox.stripe.errors import invalid
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import page, within
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.versions import rendered_event

KEPT_FOR: Final = 30 * 86400
"""Stripe lists events for 30 days."""

MOST_TYPES: Final = 20


def shown(ledger: Ledger, event: JsonObject, version: str | None = None) -> JsonObject:
    """The event in the shape of `version`, or of the account's default: an event keeps the version it was born with."""
    links: dict[str, Any] = ledger.store.note("event_links").get(event["id"], {})
    before = ledger.store.note("event_before").get(event["id"])
    return rendered_event(event, version or event["api_version"], links, before)


def routes(resend: Callable[[str, str | None], None]) -> Routes:
    """The routes; `resend` delivers an event anew, to one endpoint or to all."""

    def retry(ledger: Ledger, call: Call) -> JsonObject:
        event = ledger.store.get("event", call.id)
        resend(event["id"], call.params.text("webhook_endpoint"))
        return shown(ledger, event)

    return (
        ("GET", "/v1/events", _list),
        ("GET", "/v1/events/{id}", _retrieve),
        ("POST", "/v1/events/{id}/retry", retry),
    )


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return shown(ledger, ledger.store.get("event", call.id))


def _list(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    single, several = params.text("type"), params.texts("types")
    if single is not None and several:
        raise invalid("You may only specify one of these parameters: type, types.", "type")
    if len(several) > MOST_TYPES:
        raise invalid(f"Array types exceeded maximum {MOST_TYPES} allowed elements.", "types")
    oldest = ledger.clock.now() - KEPT_FOR
    patterns = [single] if single is not None else several
    found = [
        one
        for one in within(list(ledger.store.all("event")), params, "created")
        if one["created"] >= oldest and (not patterns or any(fnmatchcase(one["type"], pattern) for pattern in patterns))
    ]
    if params.given("delivery_success"):
        wanted = params.flag("delivery_success")
        found = [one for one in found if (one["pending_webhooks"] == 0) is wanted]
    listed = page(found, params, call.path)
    listed["data"] = [shown(ledger, one) for one in listed["data"]]
    return listed
