"""What OpenFeature's clients send: the evaluation context, and what it means here. Pure.

`targetingKey` is the user. `user_id`, `project_id`, `min_revision` and `unlimited_as` are read too; whatever else an
app keeps in its context is passed over.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from common.answers import parse_min_revision, parse_user
from common.document import MAX_LIMIT
from common.identifiers import UserId
from common.position import Position
from sidecar.ofrep_errors import invalid_context, parse_error, targeting_key_missing


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, and how to answer."""

    user: UserId
    project: str | None
    min_revision: Position | None
    unlimited_as: int
    """The number that stands for "unlimited"."""


def parse_context(body: bytes) -> Context:
    """Read a request's body; Refusal where it is none, Problem where a part of it cannot be read."""
    given = _given(body)
    wanted = _text(given, "min_revision")
    return Context(
        user=_user(given),
        project=_text(given, "project_id"),
        min_revision=None if wanted is None else parse_min_revision(wanted),
        unlimited_as=_unlimited_as(given),
    )


_SHAPE: Final = 'the body must be an object such as {"context":{"targetingKey":"user_123"}}'


def _given(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise parse_error("the body is not JSON") from error
    if not isinstance(parsed, dict):
        raise invalid_context(_SHAPE)
    context = parsed.get("context")
    if context is None:  # clients without a context leave it out
        return {}
    if not isinstance(context, dict):
        raise invalid_context(_SHAPE)
    return context


def _user(given: dict[str, Any]) -> UserId:
    user = _text(given, "targetingKey") or _text(given, "user_id")
    if not user:
        raise targeting_key_missing("context.targetingKey is missing: it names the user that is asked about")
    return parse_user(user)


def _unlimited_as(given: dict[str, Any]) -> int:
    number = given.get("unlimited_as", MAX_LIMIT)
    if type(number) is not int or not 0 < number <= MAX_LIMIT:
        raise invalid_context(f"context.unlimited_as must be a whole number from 1 to {MAX_LIMIT}")
    return number


def _text(given: dict[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid_context(f"context.{name} must be text")
    return value
