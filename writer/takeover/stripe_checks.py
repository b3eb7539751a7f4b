"""What is looked at at Stripe: the key, its permissions, the endpoint, deliveries, the portal, the clock."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from common.clock import SECOND, Clock, Instant, format_time, from_seconds
from writer.domain.stripe.kinds import KIND_OF_TYPE
from writer.gateway.errors import KeyRefusedError
from writer.gateway.pages import Json
from writer.gateway.stripe_account import StripeAccount
from writer.gateway.transport import API_VERSION, Method
from writer.settings import StripeSettings
from writer.takeover.finding import Finding, bad, doubtful, good
from writer.takeover.setup import PATH, differences, same_url

_READS: Final = (
    ("Customers", "/v1/customers"),
    ("Subscriptions", "/v1/subscriptions"),
    ("Invoices", "/v1/invoices"),
    ("Checkout Sessions", "/v1/checkout/sessions"),
    ("Products", "/v1/products"),
    ("Prices", "/v1/prices"),
    ("Charges", "/v1/charges"),
    ("PaymentIntents", "/v1/payment_intents"),
    ("Refunds", "/v1/refunds"),
    ("Disputes", "/v1/disputes"),
    ("Events", "/v1/events"),
)

_NOBODY: Final = "none_of_billing_doctor"

_PRODUCT_FEATURES: Final = f"/v1/products/prod_{_NOBODY}/features"

_WRITES: Final[Sequence[tuple[str, str, dict[str, Any], str | None]]] = (
    ("Customers", f"/v1/customers/cus_{_NOBODY}", {}, None),
    ("Checkout Sessions", f"/v1/checkout/sessions/cs_{_NOBODY}/expire", {}, None),
    ("Customer portal", "/v1/billing_portal/sessions", {"customer": f"cus_{_NOBODY}"}, None),
    ("Products", f"/v1/products/prod_{_NOBODY}", {}, "billing catalog push"),
    ("Prices", f"/v1/prices/price_{_NOBODY}", {}, "billing catalog push"),
    ("Webhook Endpoints", f"/v1/webhook_endpoints/we_{_NOBODY}", {}, "billing stripe setup"),
)
"""Each names something that does not exist, so that nothing is written; for the last ones only a command asks."""

_SLACK: Final = 60 * SECOND
"""An event younger than that may still be on its way."""

_CLOCK_ODD, _CLOCK_BAD = 5.0, 120.0
"""Seconds. Signatures are good for five minutes: a clock that is off by half of it is near to losing webhooks."""


async def key(settings: StripeSettings, account: StripeAccount, clock: Clock) -> list[Finding]:
    """Whose the key is, of which mode, and what the time is there."""
    began = clock.now()
    found, as_of = await account.account()
    restricted = settings.secret_key.reveal().startswith("rk_")
    mode = "live" if settings.livemode else "test"
    named = f"{'restricted' if restricted else 'full'} key, {mode} mode, account {found['id']}"
    findings = [good("key", named)]
    if settings.livemode and found.get("charges_enabled") is False:
        findings.append(doubtful("key", "the account cannot charge yet", "finish the account's activation at Stripe"))
    return [*findings, _clock("clock at Stripe", as_of, began)]


def _clock(check: str, there: Instant, here: Instant) -> Finding:
    seconds = (there - here) / SECOND
    if abs(seconds) <= _CLOCK_ODD:
        return good(check, f"differs from this machine's by less than {_CLOCK_ODD:.0f} s")
    told = f"differs from this machine's by {seconds:+.0f} s"
    mend = "set this machine's clock, and those of the writers (NTP)"
    return (bad if abs(seconds) > _CLOCK_BAD else doubtful)(check, told, mend)


async def permissions(account: StripeAccount) -> list[Finding]:
    """What the key may read, and, asked about things that do not exist, what it may write."""
    reads = await asyncio.gather(*(account.refusal("get", path, {"limit": 1}) for _, path in _READS))
    post: Method = "post"
    writes = await asyncio.gather(*(account.refusal(post, path, params) for _, path, params, _ in _WRITES))
    findings = [
        bad("permissions", f"the key may not read {name}", _permission("Read", name, refused))
        for (name, _), refused in zip(_READS, reads, strict=True)
        if refused
    ]
    for (name, _, _, only), refused in zip(_WRITES, writes, strict=True):
        if refused is None:
            continue
        mend = _permission("Write", name, refused)
        if only is None:
            findings.append(bad("permissions", f"the key may not write {name}", mend))
        else:
            findings.append(doubtful("permissions", f"the key may not write {name}", f"{mend}, if you want {only}"))
    if refused := await account.refusal("get", _PRODUCT_FEATURES, {"limit": 1}):
        told = "the key may not read features of products: those attached in Stripe's dashboard do not count"
        mend = f"{_permission('Read', 'Entitlements', refused)}, if you want them to; then billing catalog sync"
        findings.append(doubtful("permissions", told, mend))
    return findings or [good("permissions", "the key may read and write all that is needed")]


def _permission(what: str, name: str, refused: KeyRefusedError) -> str:
    """Our name of it, and Stripe's own where it says which one it misses: the dashboard's words change."""
    called = f" ({' or '.join(refused.permissions)})" if refused.permissions else ""
    return f"give the restricted key {what} on {name}{called}"


async def endpoint(settings: StripeSettings, account: StripeAccount, url: str | None) -> list[Finding]:
    """The webhook endpoint: there once, enabled, with the right events and version."""
    if not await account.may("get", "/v1/webhook_endpoints", {"limit": 1}):
        return [
            doubtful(
                "endpoint",
                "the key may not read Webhook Endpoints",
                "give the restricted key Read on Webhook Endpoints",
            )
        ]
    found = [one for one in await account.webhook_endpoints() if _is_ours(one, url)]
    if not found:
        if settings.poll is not None:
            return [good("endpoint", "there is none, and STRIPE_POLL is set: events are polled")]
        where = url or f"https://HOST{PATH}"
        return [
            bad("endpoint", f"no endpoint leads to {url or PATH}", f"billing stripe setup --url {where}"),
            *_secret(settings),
        ]
    several = {one["url"] for one in found if sum(same_url(one["url"], two["url"]) for two in found) > 1}
    findings = [
        doubtful(
            "endpoint", f"several endpoints have the URL {one}: each event comes several times", "delete all but one"
        )
        for one in sorted(several)
    ]
    for one in found:
        findings += _endpoint(one)
    return [*findings, *_secret(settings)]


def _is_ours(one: Json, url: str | None) -> bool:
    return same_url(one["url"], url) if url is not None else one["url"].rstrip("/").endswith(PATH)


def _endpoint(one: Json) -> list[Finding]:
    name, again = f"{one['id']} ({one['url']})", f"billing stripe setup --url {one['url']}"
    findings = []
    if one["status"] != "enabled":
        findings.append(bad("endpoint", f"{name} is {one['status']}: nothing is sent to it", again))
    missing, superfluous = differences(one)
    if missing:
        findings.append(bad("events", f"{name} does not get {', '.join(missing)}", again))
    if superfluous:
        findings.append(doubtful("events", f"{name} gets for nothing: {', '.join(superfluous)}", again))
    if one["api_version"] not in {None, API_VERSION}:
        told = f"{name} sends events of {one['api_version']}, which are read too; ours is {API_VERSION}"
        findings.append(doubtful("api version", told, f"{again} --replace"))
    elif one["api_version"] is None:
        told = f"{name} sends events of the account's default version, which may change under it"
        findings.append(doubtful("api version", told, f"{again} --replace"))
    return findings or [good("endpoint", f"{name} is enabled, with the right events and API version")]


def _secret(settings: StripeSettings) -> list[Finding]:
    if settings.webhook_secrets:
        return []
    return [
        doubtful(
            "webhook secret",
            "STRIPE_WEBHOOK_SECRET is not set here",
            "set it for the writer, to what billing stripe setup or Stripe's dashboard shows",
        )
    ]


async def portal(account: StripeAccount, chosen: dict[str, str]) -> list[Finding]:
    """The billing portal's configurations; `chosen`: those that projects name, by project."""
    if not await account.may("get", "/v1/billing_portal/configurations", {"limit": 1}):
        told = "the key may not read the portal's configurations"
        return [doubtful("portal", told, "give the restricted key Read on Customer portal")]
    found = {one["id"]: one for one in await account.portal_configurations()}
    if not found:
        mend = "billing stripe setup makes one, or save the customer portal's settings in Stripe's dashboard"
        return [bad("portal", "there is no active configuration: no portal can be opened", mend)]
    findings = [
        bad(
            "portal",
            f"{project} names {name}, which is not active at Stripe",
            f"billing project update {project} --portal-configuration bpc_… ('' for the account's default)",
        )
        for project, name in sorted(chosen.items())
        if name not in found
    ]
    if not any(one.get("is_default") for one in found.values()):
        told = "no configuration is the default: only projects that name one can open the portal"
        findings.append(doubtful("portal", told, "save the customer portal's settings in Stripe's dashboard"))
    return findings or [good("portal", f"{len(found)} active configuration(s)")]


async def undelivered(account: StripeAccount, clock: Clock) -> list[Finding]:
    """Events of ours that some endpoint has not taken for a while."""
    stuck = [one for one in await account.newest_events(undelivered=True) if _is_due(one, clock.now())]
    if not stuck:
        return [good("deliveries", "every event was taken")]
    oldest = format_time(from_seconds(stuck[-1]["created"]))
    told = f"{len(stuck)} events of ours were not taken by every endpoint, since {oldest} or before"
    mend = "look at the endpoint's deliveries in Stripe's dashboard; the sweep brings what was missed"
    return [doubtful("deliveries", told, mend)]


async def newest_due(account: StripeAccount, clock: Clock) -> Json | None:
    """The newest event of ours that must have arrived by now."""
    return next((one for one in await account.newest_events() if _is_due(one, clock.now())), None)


def _is_due(event: Json, now: Instant) -> bool:
    return event["type"] in KIND_OF_TYPE and from_seconds(event["created"]) < now - _SLACK
