"""Parameters of requests: each declared once, with how it is read and how it is described."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from common.answers import parse_feature, parse_min_revision, parse_used, parse_user
from common.clock import Instant, TimeError, parse_time
from common.identifiers import MAX_USER_ID, FeatureCode, UserId
from common.position import Position
from common.problems import bad_request

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

MAX_ID: Final = 2**63 - 1
"""The largest id that a row of ours can have."""

NAME_SCHEMA: Final[Mapping[str, Any]] = {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}
USER_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_USER_ID,
    "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
}
_TIME_SCHEMA: Final = {"type": "string", "format": "date-time"}


class Place(StrEnum):
    """Where a parameter stands; the values are OpenAPI's."""

    QUERY = "query"
    PATH = "path"
    HEADER = "header"


@dataclass(frozen=True, slots=True, eq=False)
class Parameter(Generic[T]):
    """One parameter. `read` takes all values that were sent, none where it is left out; a Problem tells a fault."""

    name: str
    place: Place
    read: Callable[[Sequence[str]], T]
    schema: Mapping[str, Any]
    description: str
    required: bool = False
    problems: tuple[str, ...] = ()
    """What reading it can be answered with, as `400 invalid_user`."""


def required(
    name: str, parse: Callable[[str | None], T], schema: Mapping[str, Any], description: str, *problems: str
) -> Parameter[T]:
    """A query parameter that must be there: `parse` is given None, or an empty text, where it is not."""
    return Parameter(
        name, Place.QUERY, lambda sent: parse(sent[0] if sent else None), schema, description, True, problems
    )


def optional(
    name: str, parse: Callable[[str], T], schema: Mapping[str, Any], description: str, default: T, *problems: str
) -> Parameter[T]:
    """A query parameter that may be left out."""
    return Parameter(
        name,
        Place.QUERY,
        lambda sent: parse(sent[0]) if sent else default,
        schema,
        description,
        problems=problems,
    )


def in_path(
    name: str, parse: Callable[[str], T], schema: Mapping[str, Any], description: str, *problems: str
) -> Parameter[T]:
    """A part of the path."""
    return Parameter(name, Place.PATH, lambda sent: parse(sent[0]), schema, description, True, problems)


def text(name: str, description: str) -> Parameter[str | None]:
    """Any text that is a filter; an empty one filters nothing. Postgres keeps no U+0000, so nothing can hold one."""

    def parse(sent: str) -> str | None:
        if "\0" in sent:
            raise bad_request("invalid_filter", f"{name} must not hold the character U+0000")
        return sent or None

    schema = {"type": "string", "pattern": "^[^\\u0000]*$"}
    return optional(name, parse, schema, description, None, "400 invalid_filter")


def time(name: str, description: str) -> Parameter[Instant | None]:
    """A moment, as RFC 3339."""
    return optional(name, lambda sent: _time(name, sent), _TIME_SCHEMA, description, None, "400 invalid_time")


def flag(name: str, description: str) -> Parameter[bool]:
    """`true` or `false`, which it is where it is left out."""

    def parse(sent: str) -> bool:
        if sent not in {"true", "false"}:
            raise bad_request("invalid_flag", f"{name} must be true or false")
        return sent == "true"

    return optional(name, parse, {"type": "boolean", "default": False}, description, False, "400 invalid_flag")


def choice(name: str, kind: type[E], code: str, description: str) -> Parameter[E | None]:
    """One of an enumeration's values."""
    schema = {"type": "string", "enum": [one.value for one in kind]}
    return optional(name, lambda sent: _choice(name, kind, code, sent), schema, description, None, f"400 {code}")


def choices(name: str, kind: type[E], code: str, description: str) -> Parameter[tuple[E, ...]]:
    """Any number of an enumeration's values, the parameter repeated."""
    schema = {"type": "array", "items": {"type": "string", "enum": [one.value for one in kind]}}

    def read(sent: Sequence[str]) -> tuple[E, ...]:
        return tuple(_choice(name, kind, code, one) for one in sent)

    return Parameter(name, Place.QUERY, read, schema, description, problems=(f"400 {code}",))


def whole(name: str, least: int, most: int, default: int, code: str, description: str) -> Parameter[int]:
    """A whole number."""
    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return optional(
        name, lambda sent: number(sent, least, most, code, name), schema, description, default, f"400 {code}"
    )


def row_id(name: str, code: str, what: str) -> Parameter[int]:
    """The id of a row of ours, in the path."""
    schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
    return in_path(name, lambda sent: number(sent, 1, MAX_ID, code, what), schema, f"The id of {what}", f"400 {code}")


def number(sent: str, least: int, most: int, code: str, name: str) -> int:
    """`sent` as a whole number; Problem 400 with that code."""
    # The length first: Python refuses to read thousands of digits, with an error of its own.
    if not (sent.isascii() and sent.isdecimal()) or len(sent) > len(str(most)) or not least <= int(sent) <= most:
        bounds = f"from {least} to {most}" if most < MAX_ID else f"from {least}"
        raise bad_request(code, f"{name} must be a whole number {bounds}")
    return int(sent)


def _choice(name: str, kind: type[E], code: str, sent: str) -> E:
    try:
        return kind(sent)
    except ValueError:
        raise bad_request(code, f"{name} must be one of {' '.join(kind)}") from None


def _time(name: str, sent: str) -> Instant:
    try:
        return parse_time(sent)
    except TimeError as error:
        raise bad_request("invalid_time", f"{name}: {error}") from error


def _project(sent: str | None) -> str:
    if not sent:
        raise bad_request("project_required", "project_id is missing")
    return sent


USER: Final[Parameter[UserId]] = required(
    "user_id", parse_user, USER_SCHEMA, "Who", "400 user_required", "400 invalid_user"
)
FEATURE: Final[Parameter[FeatureCode]] = required(
    "feature", parse_feature, NAME_SCHEMA, "The feature's code", "400 feature_required", "400 invalid_feature"
)
SOME_FEATURE: Final[Parameter[FeatureCode | None]] = optional(
    "feature", parse_feature, NAME_SCHEMA, "Only this feature", None, "400 feature_required", "400 invalid_feature"
)
USED: Final[Parameter[int | None]] = optional(
    "used",
    parse_used,
    {"type": "integer", "minimum": 0, "maximum": 10**15},
    "A count: the answer then says what remains",
    None,
    "400 invalid_used",
)
MIN_REVISION: Final[Parameter[Position | None]] = optional(
    "min_revision",
    parse_min_revision,
    {"type": "string", "pattern": r"^[0-9]{1,18}\.[0-9]{1,18}$"},
    "A token, epoch.revision",
    None,
    "400 invalid_min_revision",
)
PROJECT: Final[Parameter[str]] = required("project_id", _project, NAME_SCHEMA, "The project", "400 project_required")
SOME_PROJECT: Final[Parameter[str | None]] = text("project_id", "Only this project")
PROJECT_IN_PATH: Final[Parameter[str]] = in_path("project", str, NAME_SCHEMA, "The project's id")
