"""Webhook endpoints: each with its own secret, version and choice of events."""

from fnmatch import fnmatchcase

from sandbox.stripe.errors import required
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import page
from sandbox.stripe.params import Params
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject


def new_endpoint(
    ledger: Ledger, url: str, *, secret: str | None = None, version: str | None = None, events: list[str] | None = None
) -> JsonObject:
    """An endpoint; without `version` it gets the account's default, without `events` all of them."""
    endpoint = ledger.new(
        "webhook_endpoint",
        "we",
        api_version=version,
        application=None,
        description=None,
        enabled_events=events or ["*"],
        metadata={},
        status="enabled",
        url=url,
    )
    ledger.store.note("secrets")[endpoint["id"]] = [secret or ledger.store.new_id("whsec", 32)]
    return endpoint


def wants(endpoint: JsonObject, event_type: str) -> bool:
    """Whether the endpoint is to get events of this type."""
    chosen = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and any(fnmatchcase(event_type, pattern) for pattern in chosen)


def _create(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    if not params.texts("enabled_events"):
        raise required("enabled_events")
    endpoint = new_endpoint(
        ledger, params.need("url"), version=params.text("api_version"), events=params.texts("enabled_events")
    )
    endpoint |= {"description": params.text("description"), "metadata": params.metadata()}
    return endpoint | {"secret": ledger.store.note("secrets")[endpoint["id"]][0]}


def _update(ledger: Ledger, call: Call) -> JsonObject:
    endpoint, params = ledger.store.get("webhook_endpoint", call.id), call.params
    _change(endpoint, params)
    return ledger.store.put(endpoint)


def _change(endpoint: JsonObject, params: Params) -> None:
    if params.given("url"):
        endpoint["url"] = params.need("url")
    if params.texts("enabled_events"):
        endpoint["enabled_events"] = params.texts("enabled_events")
    if "disabled" in params:
        endpoint["status"] = "disabled" if params.flag("disabled") else "enabled"
    if "description" in params:
        endpoint["description"] = params.text("description")
    endpoint["metadata"] = params.metadata(endpoint["metadata"])


def _delete(ledger: Ledger, call: Call) -> JsonObject:
    endpoint = ledger.store.get("webhook_endpoint", call.id)
    ledger.store.remove("webhook_endpoint", endpoint["id"])
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("webhook_endpoint", call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    return page(ledger.store.all("webhook_endpoint"), call.params, call.path)


ROUTES: Routes = (
    ("POST", "/v1/webhook_endpoints", _create),
    ("GET", "/v1/webhook_endpoints", _list),
    ("GET", "/v1/webhook_endpoints/{id}", _retrieve),
    ("POST", "/v1/webhook_endpoints/{id}", _update),
    ("DELETE", "/v1/webhook_endpoints/{id}", _delete),
)
