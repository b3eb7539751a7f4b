"""The JSON of `check` and `entitlements`, and their query parameters: the same from writer and sidecar."""

from dataclasses import dataclass
from typing import Any

from common.clock import format_time
from common.decision import Decision, remaining
from common.identifiers import FeatureCode, IdentifierError, ProjectId, UserId, feature_code, user_id
from common.position import Position, PositionError
from common.problems import bad_request

_MAX_USED = 10**15


@dataclass(frozen=True, slots=True)
class CheckQuery:
    """One question: may `user` use `feature`? `used` asks what is left of a limit."""

    user: UserId
    feature: FeatureCode
    used: int | None = None
    min_revision: Position | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What an answer says of the copy it came from. `age_ms` counts since the copy was known to be current."""

    position: Position
    age_ms: int
    stale: bool
    behind: bool = False
    """The answer is older than the `min_revision` that was asked for."""


def parse_check(
    user: str | None, feature: str | None, used: str | None = None, min_revision: str | None = None
) -> CheckQuery:
    """Read a question's parts as text; a Problem 400 says what is wrong."""
    return CheckQuery(
        parse_user(user),
        parse_feature(feature),
        None if used is None else parse_used(used),
        None if min_revision is None else parse_min_revision(min_revision),
    )


def parse_user(text: str | None) -> UserId:
    """A user id, or Problem 400 `user_required`, `invalid_user`."""
    if not text:
        raise bad_request("user_required", "user_id is missing")
    try:
        return user_id(text)
    except IdentifierError as error:
        raise bad_request("invalid_user", str(error)) from error


def parse_feature(text: str | None) -> FeatureCode:
    """A feature code, or Problem 400 `feature_required`, `invalid_feature`."""
    if not text:
        raise bad_request("feature_required", "feature is missing")
    try:
        return feature_code(text)
    except IdentifierError as error:
        raise bad_request("invalid_feature", str(error)) from error


def parse_used(text: str) -> int:
    """A count, or Problem 400 `invalid_used`."""
    # The length first: Python refuses to read thousands of digits, with an error of its own.
    if len(text) > len(str(_MAX_USED)) or not (text.isascii() and text.isdecimal()) or int(text) > _MAX_USED:
        raise bad_request("invalid_used", f"used must be a whole number from 0 to {_MAX_USED}")
    return int(text)


def parse_min_revision(text: str) -> Position:
    """A position, or Problem 400 `invalid_min_revision`."""
    try:
        return Position.parse(text)
    except PositionError as error:
        detail = (
            "min_revision must be epoch.revision, two whole numbers, such as 1763800000.42: a token as it was answered"
        )
        raise bad_request("invalid_min_revision", detail) from error


def check_answer(query: CheckQuery, project: ProjectId, decision: Decision, standing: Standing) -> dict[str, Any]:
    """The answer to one question, always given with status 200."""
    return {**decided(query, project, decision), **stood(standing), **concluded(query, decision)}


def decided(query: CheckQuery, project: ProjectId, decision: Decision) -> dict[str, Any]:
    """An answer's first members: the question and the decision. They hold until a row begins or ends."""
    return {
        "allowed": decision.allowed,
        "user_id": query.user,
        "project_id": project,
        "feature": query.feature,
        "value": decision.value,
        "source": decision.source,
        "valid_to": None if decision.valid_to is None else format_time(decision.valid_to),
        "reason": decision.reason.value,
    }


def stood(standing: Standing) -> dict[str, Any]:
    """An answer's middle members: the copy that it came from. They are the same for all who ask in one moment."""
    members: dict[str, Any] = {
        "epoch": standing.position.epoch,
        "revision": standing.position.revision,
        "age_ms": standing.age_ms,
        "stale": standing.stale,
    }
    return {**members, "behind": True} if standing.behind else members


def concluded(query: CheckQuery, decision: Decision) -> dict[str, Any]:
    """An answer's last members, where it has any: what is left of a limit, and what would unlock a denied feature."""
    members: dict[str, Any] = {}
    if query.used is not None:
        members["remaining"] = remaining(decision, query.used)
    if not decision.allowed:
        members["unlocked_by"] = list(decision.unlocked_by)
    return members
