"""Request bodies: JSON into typed structs, and a clear problem where it does not fit."""

import re
from typing import Any, Final, TypeVar

import msgspec

from common.problems import bad_request

T = TypeVar("T")

MAX_BODY_BYTES: Final = 64 * 1024
"""What any ordinary request needs, many times over."""

# Postgres keeps no NUL in a text; JSON can only write it as this escape.
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_AT: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_FIELD: Final = re.compile(r"(missing required|unknown) field `([^`]*)`")


def decode(data: bytes, type_: type[T]) -> T:
    """`data` as `type_`; Problem 400 `invalid_body` where it does not fit."""
    if _NUL.search(data):
        raise bad_request("invalid_body", "a text in the body holds the character U+0000, which cannot be kept")
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.ValidationError as error:
        raise bad_request("invalid_body", _explain(str(error), type_)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request("invalid_body", f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise bad_request("invalid_body", "the body is nested too deeply") from error


def _explain(message: str, type_: Any) -> str:
    """`quantity: expected int, got str`: the field first, and what is allowed where a name is not."""
    at = _AT.search(message)
    path = at[1] if at else ""
    fact = _AT.sub("", message).replace("`", "")
    field = _FIELD.search(message)
    if field:
        verb = "is missing" if field[1] == "missing required" else "is not known"
        fact = ".".join(filter(None, (path, field[2]))) + f" {verb}"
        return fact if path else f"{fact}; the body takes {_names(type_)}"
    return f"{path}: {fact[0].lower()}{fact[1:]}" if path else f"{fact[0].lower()}{fact[1:]}"


def _names(type_: Any) -> str:
    fields = msgspec.structs.fields(type_)
    return ", ".join(f"{field.encode_name}{' (required)' if field.required else ''}" for field in fields)
