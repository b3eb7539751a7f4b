"""What the operators' routes answer about apps, users, grants and the audit log, as the document has it."""

from typing import Any

from msgspec import Struct

from writer.api.answers import Next, Time, Token


class AppAnswer(Struct):
    """An app. `good_keys`: those that are let in, were it enabled."""

    app: str
    good_keys: int
    last_used_at: Time | None
    created_at: Time
    disabled_at: Time | None


class AppsAnswer(Struct):
    """Apps, the oldest first."""

    apps: list[AppAnswer]
    next: Next


class UserAnswer(Struct):
    """A user. `entitlements`: how many rows the document has."""

    project_id: str
    user_id: str
    entitlements: int
    created_at: Time
    merged_into: str | None
    erased_at: Time | None


class UsersAnswer(Struct):
    """Users, by project and id."""

    users: list[UserAnswer]
    next: Next


class WholeUserAnswer(UserAnswer):
    """A user with what they have; of each kind the newest hundred."""

    merged_from: list[str] = []
    customers: list[dict[str, Any]] = []
    subscriptions: list[dict[str, Any]] = []
    purchases: list[dict[str, Any]] = []
    grants: list[dict[str, Any]] = []
    epoch: int = 0
    revision: int = 0


class MergedAnswer(Struct, rename={"from_": "from"}):
    """What a merge came to. `moved`: how many of each kind."""

    project_id: str
    from_: str
    into: str
    moved: dict[str, int]
    changed: bool
    token: Token


class ErasedAnswer(Struct):
    """What an erasure came to; `erased` is false where nothing was held of such a user."""

    project_id: str
    erased: bool
    pseudonym: str | None
    counts: dict[str, int]
    token: Token


class ManualGrantAnswer(Struct):
    """A feature given by an operator."""

    grant_id: int
    project_id: str
    user_id: str
    feature: str
    value: Any
    valid_from: Time
    valid_to: Time | None
    state: str
    reason: str
    actor: str
    created_at: Time
    revoked_at: Time | None
    revoked_by: str | None
    revoke_reason: str | None


class GrantsAnswer(Struct):
    """Grants, the newest first."""

    grants: list[ManualGrantAnswer]
    next: Next


class ImportedRow(Struct):
    """A row of the file and what became of it."""

    line: int
    project_id: str
    user_id: str
    feature: str
    outcome: str
    grant_id: int | None
    reason: str | None


class ImportedAnswer(Struct):
    """How many rows of each outcome, and each row."""

    dry_run: bool
    granted: int
    already: int
    refused: int
    rows: list[ImportedRow]


class ActAnswer(Struct):
    """Who did what, when, from where, and what was there before and after."""

    id: int
    at: Time
    actor: str
    origin: str | None
    action: str
    project_id: str | None
    subject: str
    reason: str | None
    before: Any
    after: Any


class ActsAnswer(Struct):
    """Acts, the newest first."""

    acts: list[ActAnswer]
    next: Next
