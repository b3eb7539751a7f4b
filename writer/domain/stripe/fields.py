"""Reading fields out of a Stripe object: the right type, or an error that names the field."""

from collections.abc import Mapping
from typing import Any, Final

from common.clock import SECOND, Instant, TimeError, parse_time

_MAX_WHOLE: Final = 2**63 - 1
_END_OF_TIME: Final = 253_402_300_800
"""Seconds at the end of the year 9999, the last that a datetime can hold."""

Object = Mapping[str, Any]
"""A Stripe object as parsed JSON."""


class ShapeError(ValueError):
    """A Stripe object does not have the shape that Stripe documents; the message names the field, never a value."""


def text(source: Object, name: str) -> str:
    """A text that must be there."""
    value = source.get(name)
    if not isinstance(value, str) or not value or "\0" in value:  # Postgres keeps no NUL in a text
        raise ShapeError(f"{_named(source)}.{name} must be a text")
    return value


def optional_text(source: Object, name: str) -> str | None:
    """A text, or None where it is null, empty or absent."""
    return text(source, name) if source.get(name) else None


def whole(source: Object, name: str, default: int | None = None) -> int:
    """A whole number; `default` where it is null or absent."""
    value = source.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MAX_WHOLE:
        raise ShapeError(f"{_named(source)}.{name} must be a whole number")
    return value


def flag(source: Object, name: str) -> bool:
    """A boolean; False where it is null or absent."""
    value = source.get(name)
    if value is not None and not isinstance(value, bool):
        raise ShapeError(f"{_named(source)}.{name} must be true or false")
    return bool(value)


def instant(source: Object, name: str) -> Instant:
    """Unix seconds (v1) or RFC 3339 (v2) that must be there."""
    value = source.get(name)
    if isinstance(value, str):
        try:
            return parse_time(value)
        except TimeError as error:
            raise ShapeError(f"{_named(source)}.{name} must be a time") from error
    seconds = whole(source, name)
    if not 0 <= seconds < _END_OF_TIME:
        raise ShapeError(f"{_named(source)}.{name} must be Unix seconds")
    return Instant(seconds * SECOND)


def optional_instant(source: Object, name: str) -> Instant | None:
    """A time, or None where it is null or absent."""
    return None if source.get(name) is None else instant(source, name)


def child(source: Object, name: str) -> Object:
    """An object inside; empty where it is null, absent or only an id."""
    value = source.get(name)
    return value if isinstance(value, Mapping) else {}


def reference(source: Object, name: str) -> str | None:
    """The id of a linked object, whether it is expanded or not; None where there is none."""
    value = source.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, Mapping):
        return text(value, "id")
    return text(source, name)


def rows(source: Object, name: str) -> tuple[Object, ...]:
    """The members of a list object; empty where it is null or absent."""
    listed = child(source, name).get("data", [])
    if not isinstance(listed, list) or not all(isinstance(row, Mapping) for row in listed):
        raise ShapeError(f"{_named(source)}.{name}.data must be a list of objects")
    return tuple(listed)


def metadata(source: Object) -> dict[str, str]:
    """The object's metadata."""
    value = source.get("metadata") or {}
    if not isinstance(value, Mapping):
        raise ShapeError(f"{_named(source)}.metadata must be an object")
    return {str(key).replace("\0", ""): str(held).replace("\0", "") for key, held in value.items()}


def _named(source: Object) -> str:
    name = source.get("object")
    return name if isinstance(name, str) else "object"
