"""Names shared by every resource: the JSON object, the API versions, and the empty list."""

from typing import Any, Final

import orjson

JsonObject = dict[str, Any]

CURRENT_VERSION: Final = "2026-10-28.endive"
"""What an endpoint and a request get when they pin nothing; the pin of stripe-python 16.1."""

EMBEDDED_LIMIT: Final = 10
"""Stripe shows so many entries of a list inside an object; the rest must be paged."""


def copied(value: JsonObject) -> JsonObject:
    """A deep copy of a JSON object."""
    result: JsonObject = orjson.loads(orjson.dumps(value))
    return result


def list_of(data: list[JsonObject], url: str, *, has_more: bool = False) -> JsonObject:
    """Stripe's list object around `data`."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def embedded(data: list[JsonObject], url: str) -> JsonObject:
    """The first entries of a list, as Stripe shows it inside another object."""
    return list_of(data[:EMBEDDED_LIMIT], url, has_more=len(data) > EMBEDDED_LIMIT)
