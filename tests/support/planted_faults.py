"""Six faults that an operator meets, planted from outside: at Stripe, at the writer, in the database.

Each is a customer who does not have what somebody expects. How it is found and mended is the business of whoever asks
for it: by command, in a browser. One site bears all six at once, each for a user of its own.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sandbox.clients import Endpoint, Sidecar, Stripe
from sandbox.seed import Prices, catalogue
from sandbox.shop import App
from tests.support.waiting import eventually

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """A writer that Stripe's stand-in tells everything, and a sidecar of one project that it sells."""

    stripe: Stripe
    admin: Endpoint
    """The writer, with the admin key."""
    sidecar: Sidecar
    """It follows by Redis alone."""
    sidecar_instance: str
    database_url: str
    app: App
    prices: Prices

    @property
    def project(self) -> str:
        """The project's public id."""
        return self.app.project

    @property
    def plan_feature(self) -> str:
        """What only the app's subscription gives."""
        return _plain(self.app.subscription.grants)

    @property
    def bought_feature(self) -> str:
        """What only the app's one-time purchase gives."""
        return _plain(self.app.purchase.grants)


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault: who does not have what, and the object that it lies with (a subscription, an event, a sidecar …)."""

    user: str
    feature: str
    object_id: str


@dataclass(frozen=True, slots=True)
class RemovedFeature(Planted):
    """The same, with the catalogue before the feature went: `features` and `plans`, as catalog.yaml has them."""

    catalogue: Json


async def subscription_without_user(site: Site, user: str = "uma") -> Planted:
    """A subscription made in Stripe's dashboard, with nothing that says whose it is: `object_id` is its id."""
    made = await _subscribed(site, {"email": f"{user}@example.com"}, {})
    await eventually(lambda: _lists(site, "unassigned", "unassigned", made["id"]))
    return Planted(user, site.plan_feature, made["id"])


async def parked_event(site: Site, user: str = "pia") -> Planted:
    """A subscription of which only an unreadable event arrived, which was given up: `object_id` is the event's id."""
    await site.stripe.control("faults", fault="drop", types=["customer.subscription.*", "invoice.*"])
    owner = {"metadata[user_id]": user, "metadata[project_id]": site.project}
    made = await _subscribed(site, {}, owner)
    await site.stripe.api.call("DELETE", "/_sandbox/faults")
    sent = await site.stripe.control(
        "events", type="customer.subscription.updated", object={**made, "items": {"object": "list", "data": None}}
    )
    await eventually(lambda: _lists(site, "events?status=parked", "events", sent["id"]))
    return Planted(user, site.plan_feature, sent["id"])


async def sidecar_behind(site: Site, user: str = "sam") -> Planted:
    """A grant that the sidecar does not hear of: the project's lease is a writer's that is gone, for another day.

    So it is where the database's clock was a day ahead for a moment. `object_id` is the sidecar's instance.
    """
    await asyncio.to_thread(_take_lease, site.database_url, site.project)
    await eventually(lambda: _relays_nothing(site))
    await _grant(site, {"user_id": user, "feature": site.bought_feature, "reason": "a friend of the house"})
    return Planted(user, site.bought_feature, site.sidecar_instance)


def _take_lease(database_url: str, project: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE relay_leases SET owner = 'writer-that-is-gone', fence = fence + 1, expires_at = now() + interval"
            " '1 day' WHERE project_id = (SELECT id FROM projects WHERE public_id = %s)",
            (project,),
        )


async def _relays_nothing(site: Site) -> bool:
    """Whether the writer has noticed that the only project's lease is not its own any more."""
    samples = (await site.admin.call("GET", "/metrics")).splitlines()
    return any(line.partition(" ")[::2] == ("billing_relay_leases", "0.0") for line in samples)


async def feature_removed(site: Site, user: str = "cleo") -> RemovedFeature:
    """A feature that somebody pays for, taken out of the catalogue: `object_id` is the subscription that gave it."""
    owner = {"metadata[user_id]": user, "metadata[project_id]": site.project}
    made = await _subscribed(site, {}, owner)
    await eventually(lambda: _allowed(site, user, site.plan_feature))
    whole = catalogue(site.app)
    left = {
        "features": {code: one for code, one in whole["features"].items() if code != site.plan_feature},
        "plans": {
            target: {"features": {code: value for code, value in plan["features"].items() if code != site.plan_feature}}
            for target, plan in whole["plans"].items()
        },
    }
    await site.admin.call("PUT", f"/api/v1/admin/projects/{site.project}/catalog", body=left)
    await eventually(lambda: _denied(site, user, site.plan_feature, "unknown_feature"))
    before = {"features": whole["features"], "plans": whole["plans"]}
    return RemovedFeature(user, site.plan_feature, made["id"], before)


async def expired_grant(site: Site, user: str = "eve") -> Planted:
    """A grant that ended yesterday: `object_id` is its number."""
    now = datetime.now(UTC)
    period = {"valid_from": _time(now - timedelta(days=8)), "valid_to": _time(now - timedelta(days=1))}
    granted = {"user_id": user, "feature": site.bought_feature, "reason": "a week to try it", **period}
    made = await _grant(site, granted)
    return Planted(user, site.bought_feature, str(made["grant_id"]))


async def refunded_purchase(site: Site, user: str = "ray") -> Planted:
    """A purchase whose money was given back: `object_id` is the checkout session's id."""
    form = {
        "mode": "payment",
        "line_items[0][price]": site.prices.purchase,
        "line_items[0][quantity]": "1",
        "success_url": "http://localhost/paid",
        "metadata[user_id]": user,
        "metadata[project_id]": site.project,
    }
    session = await site.stripe.post_form("checkout/sessions", form)
    paid = await site.stripe.pay(session["id"])
    await eventually(lambda: _allowed(site, user, site.bought_feature))
    await site.stripe.post("refunds", payment_intent=paid["payment_intent"])
    await eventually(lambda: _denied(site, user, site.bought_feature, "not_granted"))
    return Planted(user, site.bought_feature, session["id"])


async def _subscribed(site: Site, customer: dict[str, str], form: dict[str, str]) -> Json:
    payer = await site.stripe.post_form("customers", {"source": "tok_visa", **customer})
    items = {"customer": payer["id"], "items[0][price]": site.prices.subscription}
    return await site.stripe.post_form("subscriptions", {**items, **form})


async def _grant(site: Site, body: Json) -> Json:
    made: Json = await site.admin.call("POST", "/api/v1/admin/grant", body={"project_id": site.project, **body})
    return made


async def check(site: Site, user: str, feature: str) -> Json:
    """The writer's answer."""
    query = {"project_id": site.project, "user_id": user, "feature": feature}
    answer: Json = await site.admin.call("GET", "/api/v1/check", query=query)
    return answer


async def _allowed(site: Site, user: str, feature: str) -> bool:
    return bool((await check(site, user, feature))["allowed"])


async def _denied(site: Site, user: str, feature: str, reason: str) -> bool:
    return bool((await check(site, user, feature))["reason"] == reason)


def _lists(site: Site, path: str, name: str, object_id: str) -> Awaitable[bool]:
    async def look() -> bool:
        found = await site.admin.call("GET", f"/api/v1/admin/{path}")
        return any(one["id"] == object_id for one in found[name])

    return look()


def _plain(grants: Mapping[str, Any]) -> str:
    return next(code for code, value in grants.items() if value is None)


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
