"""What routes answer, as the document describes it. The running writer's answers are held against it by the tests."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

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


class ProjectAnswer(Struct):
    """A project."""

    project_id: str
    name: str
    epoch: int
    revision: int
    user_count: int
    catalog_version: int
    return_hosts: list[str]
    portal_configuration: str | None
    created_at: Time


class ProjectsAnswer(Struct):
    """Projects, by id."""

    projects: list[ProjectAnswer]
    next: Next


class KeyAnswer(Struct):
    """A key, without its secret."""

    id: int
    app: str
    prefix: str
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None


class NewKeyAnswer(KeyAnswer):
    """A key just made; `key` is shown this once."""

    key: str = field()


class KeysAnswer(Struct):
    """Keys, the oldest first."""

    keys: list[KeyAnswer]
    next: Next


class CatalogueAnswer(Struct):
    """What was declared of a catalogue, and what is in force."""

    project_id: str
    version: int
    declared: dict[str, Any]
    in_force: dict[str, Any]


class CatalogueChangedAnswer(CatalogueAnswer):
    """The same after an edit."""

    changed: bool = field()
    moved_prices: list[str] = field()


class CataloguePlanAnswer(Struct):
    """What an edit would do, and to how many users."""

    users: int
    changed_users: int
    everybody: bool
    exact: bool
    sentences: list[str]
    features: list[dict[str, Any]]
    plans: list[dict[str, Any]]
    moved_prices: list[dict[str, Any]]


class GrantedAnswer(Struct):
    """A grant just made. `changed`: the user's document did."""

    grant_id: int
    project_id: str
    user_id: str
    feature: str
    value: Any
    valid_from: Time
    valid_to: Time | None
    reason: str
    changed: bool
    token: Token


class RevokedAnswer(Struct):
    """Which grants ended now."""

    project_id: str
    revoked: list[int]
    changed: bool
    token: Token


class RecomputedAnswer(Struct):
    """One user computed again."""

    project_id: str
    user_id: str
    changed: bool
    token: Token


class BegunJob(Struct):
    """A job that computes a project in the background."""

    project_id: str
    job_id: int


class JobsAnswer(Struct):
    """The job of the project that was named, or `jobs`, one for each project."""

    project_id: str | UnsetType = UNSET
    job_id: int | UnsetType = UNSET
    jobs: list[BegunJob] | UnsetType = UNSET


class EventAnswer(Struct):
    """An event of Stripe's, without its payload."""

    id: str
    type: str
    object_id: str | None
    status: str
    reason: str | None
    attempts: int
    next_attempt_at: Time | None
    origin: str
    api_version: str | None
    livemode: bool
    account: str | None
    created: Time
    received_at: Time
    processed_at: Time | None


class WholeEventAnswer(EventAnswer):
    """An event with its payload."""

    payload: Any = field()


class EventsAnswer(Struct):
    """Events, those received last first."""

    events: list[EventAnswer]
    next: Next


class ReplayAnswer(Struct):
    """What is pending again, or in a rehearsal would be."""

    events: int
    objects: int
    dry_run: bool
    event_ids: list[str]


class HistoryAnswer(Struct):
    """With `at` what was held then; without it what changed, newest first."""

    project_id: str
    user_id: str
    changes: list[dict[str, Any]] | UnsetType = UNSET
    next: Next | UnsetType = UNSET
    at: Time | UnsetType = UNSET
    document: dict[str, Any] | UnsetType | None = UNSET
    catalog_version: int | UnsetType = UNSET
    features: list[dict[str, Any]] | UnsetType = UNSET
