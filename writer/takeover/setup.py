"""Prepares a Stripe account: a webhook endpoint with exactly the events that are applied, and a portal to open."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from common.settings import Secret
from writer.domain.stripe.kinds import KIND_OF_TYPE
from writer.gateway.pages import Json
from writer.gateway.stripe_account import StripeAccount
from writer.gateway.transport import API_VERSION
from writer.refusals import ConflictError, InvalidError

EVENTS: Final = tuple(sorted(KIND_OF_TYPE))
"""What the endpoint is to get: every type that is applied, and no other."""

PATH: Final = "/api/v1/webhooks/stripe"

_PORTAL: Final[Mapping[str, Any]] = {
    "features": {
        "invoice_history": {"enabled": "true"},
        "payment_method_update": {"enabled": "true"},
        "subscription_cancel": {"enabled": "true", "mode": "at_period_end"},
    }
}


class Done(StrEnum):
    """What was done to the endpoint."""

    CREATED = "created"
    UPDATED = "updated"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The account as it is now. `secret` only where an endpoint was made: Stripe never shows it again."""

    done: Done
    endpoint_id: str
    url: str
    api_version: str | None
    added: tuple[str, ...]
    removed: tuple[str, ...]
    secret: Secret | None
    portal: str
    portal_created: bool

    @property
    def version_differs(self) -> bool:
        """Its events come in another shape than the one we ask for. They are read all the same."""
        return self.api_version != API_VERSION


async def prepare(account: StripeAccount, url: str, *, replace: bool) -> Prepared:
    """Make the endpoint of that URL, or bring the one that is there up to date; never a second one.

    `replace`: one whose API version differs makes way for a new one, with a new secret.
    InvalidError `invalid_url`; ConflictError `several_endpoints`.
    """
    _check(url)
    found = [one for one in await account.webhook_endpoints() if same_url(one["url"], url)]
    if len(found) > 1:
        names = ", ".join(one["id"] for one in found)
        raise ConflictError(
            "several_endpoints", f"{names} all have this URL, so each event comes several times: delete all but one"
        )
    portal, portal_created = await _portal(account)
    if not found:
        made = await account.create_webhook_endpoint(url, EVENTS, API_VERSION)
        return _prepared(Done.CREATED, made, EVENTS, (), portal, portal_created=portal_created)
    (old,) = found
    missing, superfluous = differences(old)
    if replace and old["api_version"] != API_VERSION:
        # The new one first: what comes meanwhile comes twice, and twice is harmless.
        made = await account.create_webhook_endpoint(url, EVENTS, API_VERSION)
        await account.delete_webhook_endpoint(old["id"])
        return _prepared(Done.REPLACED, made, missing, superfluous, portal, portal_created=portal_created)
    if missing or superfluous or old["status"] != "enabled":
        updated = await account.update_webhook_endpoint(old["id"], EVENTS)
        return _prepared(Done.UPDATED, updated, missing, superfluous, portal, portal_created=portal_created)
    return _prepared(Done.UNCHANGED, old, (), (), portal, portal_created=portal_created)


def differences(endpoint: Json) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The events that an endpoint should get and does not, and those that it gets for nothing."""
    chosen = set(endpoint["enabled_events"])
    missing = () if "*" in chosen else tuple(name for name in EVENTS if name not in chosen)
    return missing, tuple(sorted(chosen - set(EVENTS)))


def same_url(one: str, other: str) -> bool:
    """Whether two URLs lead to the same place."""
    return _canonical(one) == _canonical(other)


def to_json(done: Prepared) -> dict[str, Any]:
    """As `--json` shows it, the secret included: this is the only time."""
    return {
        "done": done.done.value,
        "endpoint_id": done.endpoint_id,
        "url": done.url,
        "api_version": done.api_version,
        "version_differs": done.version_differs,
        "events": list(EVENTS),
        "added": list(done.added),
        "removed": list(done.removed),
        "secret": None if done.secret is None else done.secret.reveal(),
        "portal_configuration": done.portal,
        "portal_created": done.portal_created,
    }


async def _portal(account: StripeAccount) -> tuple[str, bool]:
    found = await account.portal_configurations()
    if found:
        chosen = next((one for one in found if one.get("is_default")), found[0])
        return chosen["id"], False
    return (await account.create_portal_configuration(_PORTAL))["id"], True


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise InvalidError("invalid_url", f"the URL must be such as https://billing.example.com{PATH}")
    if not parts.path.rstrip("/").endswith(PATH):
        raise InvalidError("invalid_url", f"a writer takes webhooks at {PATH}: the URL must end with it")


def _canonical(url: str) -> tuple[str, str, int | None, str]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port or usual, parts.path.rstrip("/")


def _prepared(
    done: Done,
    endpoint: Json,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    portal: str,
    *,
    portal_created: bool,
) -> Prepared:
    secret = endpoint.get("secret")
    return Prepared(
        done=done,
        endpoint_id=endpoint["id"],
        url=endpoint["url"],
        api_version=endpoint["api_version"],
        added=added,
        removed=removed,
        secret=None if secret is None else Secret(secret),
        portal=portal,
        portal_created=portal_created,
    )
