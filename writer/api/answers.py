"""What routes answer, as the document describes it. The running writer's answers are held against it by the tests."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339, UTC."""
Token = Annotated[str, Meta(extra_json_schema={"pattern": r"^[0-9]+\.[0-9]+$"})]
"""`epoch.revision`: sidecars take it as `min_revision`."""
Next = Annotated[str | None, Meta(description="Goes into `after` for the following page; null on the last one.")]
Money = Annotated[int, Meta(description="In the currency's smallest unit.")]


class StatusAnswer(Struct):
    """`ok` or `ready`."""

    status: str


class EntitlementRow(Struct):
    """One grant in a user's document."""

    feature_code: str
    source: str
    source_ref: str
    valid_from: Time
    valid_to: Time | None
    value: Any


class EntitlementsAnswer(Struct):
    """All that a user holds."""

    user_id: str
    project_id: str
    epoch: int
    revision: int
    computed_at: Time
    entitlements: list[EntitlementRow]
    age_ms: int
    stale: bool


class CheckAnswer(Struct):
    """May a user use a feature?"""

    allowed: bool
    user_id: str
    project_id: str
    feature: str
    value: Any
    source: str | None
    valid_to: Time | None
    reason: str
    epoch: int
    revision: int
    age_ms: int
    stale: bool
    remaining: int | str | UnsetType | None = UNSET
    unlocked_by: list[str] | UnsetType = UNSET


class PricedFeature(Struct):
    """What a price grants."""

    code: str
    name: str | None
    value: Any
    per_unit: bool


class PriceAnswer(Struct):
    """An active price."""

    price_id: str
    product_id: str
    product_name: str
    description: str | None
    type: str
    currency: str
    unit_amount: Money | None
    interval: str | None
    interval_count: int | None
    nickname: str | None
    lookup_key: str | None
    grant_days: int | None
    features: list[PricedFeature]


class ListedFeature(Struct):
    """A feature of a project."""

    code: str
    name: str | None
    kind: str
    default: Any


class CatalogAnswer(Struct):
    """What a pricing page needs."""

    project_id: str
    epoch: int
    revision: int
    version: int
    features: list[ListedFeature]
    prices: list[PriceAnswer]


class SubscriptionsAnswer(Struct):
    """A user's subscriptions, running ones first."""

    user_id: str
    project_id: str
    subscriptions: list[dict[str, Any]]


class CheckoutAnswer(Struct):
    """An open checkout."""

    session_id: str
    url: str
    expires_at: Time


class ConfirmAnswer(Struct):
    """A session as it was applied."""

    session_id: str
    status: str
    pending: bool
    user_id: str | None
    project_id: str
    entitlements: list[EntitlementRow]
    token: Token
    epoch: int
    revision: int


class PortalAnswer(Struct):
    """An open portal."""

    url: str


class WebhookAnswer(Struct):
    """What became of an event."""

    received: bool
    event: str
    outcome: str


class ChangesAnswer(Struct):
    """What followed a position."""

    v: int
    messages: list[dict[str, Any]]
    heartbeat: dict[str, Any]
