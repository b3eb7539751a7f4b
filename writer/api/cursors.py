"""Cursors: where a list goes on. Opaque to callers; inside, the list's name and the last row's place in its order."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

import orjson

from common.clock import parse_time
from common.problems import Problem, bad_request
from writer.api.parameters import MAX_ID, Parameter, optional, whole

T = TypeVar("T")

_MOST: Final = 2_000  # characters; the longest place holds a user id of 255 characters
_SCHEMA: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{0,2000}$"}

_END_OF_TIME: Final = parse_time("9999-12-31T23:59:59Z")

Place = tuple[Any, ...]


class Kind(StrEnum):
    """What a part of a row's place is."""

    TEXT = "text"
    ID = "id"
    TIME = "time"
    """An Instant."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next` is None on its last page."""

    rows: Sequence[T]
    next: str | None


class Cursor:
    """Cursors of one list. `kinds`: what a row's place is made of."""

    def __init__(self, name: str, *kinds: Kind, most: int = 500, page: int = 100) -> None:
        self._name = name
        self._kinds = kinds
        self.after: Final[Parameter[Place | None]] = optional(
            "after", self._parse, _SCHEMA, "`next` of the page before", None, "400 invalid_cursor"
        )
        self.limit: Final = whole("limit", 1, most, page, "invalid_limit", "How many at most")
        self.takes: Final[tuple[Parameter[Any], ...]] = (self.after, self.limit)

    def page(self, rows: Sequence[T], limit: int, place: Callable[[T], Place]) -> Page[T]:
        """The page out of what was read: one row more than `limit`, where there is more."""
        if len(rows) <= limit:
            return Page(rows, None)
        return Page(rows[:limit], self.at(*place(rows[limit - 1])))

    def at(self, *place: str | int) -> str:
        """The cursor behind a row."""
        return urlsafe_b64encode(orjson.dumps([self._name, *place])).decode().rstrip("=")

    def _parse(self, sent: str) -> Place | None:
        if not sent:
            return None
        try:
            if len(sent) > _MOST:
                raise _wrong()
            name, *place = orjson.loads(urlsafe_b64decode(sent + "=" * (-len(sent) % 4)))
        except (ValueError, TypeError) as error:
            raise _wrong() from error
        if name != self._name or len(place) != len(self._kinds) or not all(map(_fits, place, self._kinds)):
            raise _wrong()
        return tuple(place)


def _fits(value: Any, kind: Kind) -> bool:
    if kind is Kind.TEXT:
        return isinstance(value, str) and "\0" not in value
    return type(value) is int and 0 <= value <= (_END_OF_TIME if kind is Kind.TIME else MAX_ID)


def _wrong() -> Problem:
    return bad_request("invalid_cursor", "after must be the next of an earlier page of the same list, as it was told")
