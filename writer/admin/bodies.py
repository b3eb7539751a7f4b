"""What the admin routes take."""

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from common.clock import Instant, TimeError, parse_time
from common.problems import bad_request

_MONTH = int(timedelta(days=30).total_seconds())


class ProjectBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new project."""

    project_id: str
    name: str | None = None
    return_hosts: list[str] = msgspec.field(default_factory=list)


class ProjectChangesBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a project; what is left out stays. An empty `portal_configuration` clears it."""

    name: str | None = None
    return_hosts: list[str] | None = None
    portal_configuration: str | None = None


class KeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new key."""

    app: str
    expires_at: str | None = None


class RotateBody(Struct, frozen=True, forbid_unknown_fields=True):
    """For how long the old key stays good, in seconds."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=_MONTH)] = 86_400


class ReasonBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: Annotated[str, Meta(max_length=1000)] | None = None


class GrantBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A feature for a user. `value` for limits and configurations; times are RFC 3339."""

    project_id: str
    user_id: str
    feature: str
    reason: str
    value: Any = None
    valid_from: str | None = None
    valid_to: str | None = None


class RevokeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A grant by its id, or every grant of a feature that a user has."""

    project_id: str
    reason: str
    grant_id: int | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    feature: str | UnsetType = UNSET


class RecomputeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """One user now, or without `user_id` the whole project in the background."""

    project_id: str
    user_id: str | None = None


class ReplayBody(Struct, frozen=True, forbid_unknown_fields=True):
    """One event, or all that the rest describes: the parked ones where no `status` is given."""

    event_id: str | None = None
    status: str | list[str] | None = None
    type: str | None = None
    object_id: str | None = None
    since: str | None = None
    until: str | None = None
    dry_run: bool = False
    reason: Annotated[str, Meta(max_length=1000)] | None = None


class ClaimBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose something is. `project_id` where a customer bought in several projects, or nothing that is held."""

    object_id: str
    user_id: str
    project_id: str | None = None
    reason: Annotated[str, Meta(max_length=1000)] | None = None


class PreviewGrant(Struct, frozen=True, forbid_unknown_fields=True):
    """A grant that would be made."""

    feature: str
    value: Any = None
    valid_from: str | None = None
    valid_to: str | None = None


class PreviewBody(Struct, frozen=True, forbid_unknown_fields=True):
    """One act of a user's, or on what the user holds: exactly one of the names from `buy` on.

    `buy` a price, `quantity` of it. `cancel` a subscription, at its period's end unless `now`. `refund` a purchase,
    all of it unless `amount`. `grant` a feature. `revoke` all grants of a feature, `revoke_grant` one by its id.
    """

    project_id: str
    user_id: str
    quantity: int = 1
    now: bool = False
    amount: Annotated[int, Meta(ge=1)] | None = None
    buy: str | UnsetType = UNSET
    cancel: str | UnsetType = UNSET
    refund: str | UnsetType = UNSET
    grant: PreviewGrant | UnsetType = UNSET
    revoke: str | UnsetType = UNSET
    revoke_grant: int | UnsetType = UNSET


def time_of(name: str, text: str | None) -> Instant | None:
    """A time out of a body; Problem 400 `invalid_time`."""
    if text is None:
        return None
    try:
        return parse_time(text)
    except TimeError as error:
        raise bad_request("invalid_time", f"{name}: {error}") from error
