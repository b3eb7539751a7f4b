"""What the operators' routes answer about projects, keys, catalogues, grants and events, as the document has it."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from writer.api.answers import Next, Time, Token


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
    project_id: str
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
