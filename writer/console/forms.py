"""What a form sent, and what was wrong with it, field by field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from common import http
from common.clock import Instant, TimeError, parse_time
from common.problems import Problem, bad_request
from writer.refusals import RefusedError, as_problem

MOST_BYTES: Final = 4 * 1024 * 1024
"""A catalogue may have 1 MiB, and a form writes up to three bytes for one."""

_MOST_FIELDS: Final = 100
_MOST_DIGITS: Final = 18
_LOCAL_TIME: Final = len("2027-01-01T00:00")

_FIELDS: Final[Mapping[str, str]] = {
    "invalid_key": "key",
    "admin_key_required": "key",
    "user_required": "user_id",
    "invalid_user": "user_id",
    "unknown_user": "user_id",
    "feature_required": "feature",
    "invalid_feature": "feature",
    "unknown_feature": "feature",
    "invalid_value": "value",
    "invalid_period": "valid_to",
    "reason_required": "reason",
    "project_required": "project_id",
    "invalid_project": "project_id",
    "unknown_project": "project_id",
    "project_exists": "project_id",
    "invalid_name": "name",
    "invalid_return_hosts": "return_hosts",
    "invalid_app": "app",
    "invalid_expiry": "expires_at",
    "invalid_catalog": "catalog",
    "target_taken": "catalog",
    "not_claimable": "object_id",
    "unknown_object": "object_id",
    "claim_conflicts": "object_id",
    "claim_not_ours": "object_id",
    "wrong_mode": "object_id",
    "unknown_price": "object_id",
    "price_of_another_project": "object_id",
    "invalid_quantity": "quantity",
}
"""Which field a refusal is about, by its code; any other is about the form as a whole."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: the field that it is about, and what to do; `lines` are single points."""

    field: str | None
    text: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """A form's values by name, as they were sent, and what is wrong with them."""

    values: Mapping[str, str] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    status: HTTPStatus = HTTPStatus.OK

    def get(self, name: str) -> str:
        """A value without the blanks around it; empty where there is none."""
        return self.values.get(name, "").strip()

    def fault(self, name: str) -> Fault | None:
        """What is wrong with a field."""
        return next((one for one in self.faults if one.field == name), None)

    def refused(self, error: Problem | RefusedError) -> "Form":
        """The same form with what a refusal says."""
        problem = as_problem(error) if isinstance(error, RefusedError) else error
        lines = tuple(str(one) for one in problem.more.get("faults", ()))
        named, _, _ = problem.detail.partition(":")
        about = _FIELDS.get(problem.code, named if problem.code == "invalid_time" else None)
        return Form(self.values, (Fault(about, problem.detail, lines),), problem.status)

    def time(self, name: str) -> Instant | None:
        """A time, UTC where it names no zone; None where the field is empty; Problem 400 `invalid_time`."""
        text = self.get(name)
        if not text:
            return None
        try:
            return parse_time(_zoned(text))
        except TimeError as error:
            raise bad_request("invalid_time", f"{name}: {error}") from error

    def value(self, name: str) -> Any:
        """A grant's value: a number, an object, text; None where the field is empty."""
        text = self.get(name)
        if not text:
            return None
        try:
            parsed = orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
        return parsed if type(parsed) in {int, dict, str} else text


Refusal = (Problem, RefusedError)
"""What a handler catches to show a form again."""


async def read_form(request: web.Request) -> Form:
    """The body of a POST. Problems: 415 `unsupported_media_type`, those of reading, 400 `invalid_body`."""
    if request.content_type != "application/x-www-form-urlencoded":
        detail = "the console takes its own forms only"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    body = await http.read_body(request, MOST_BYTES)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise bad_request("invalid_body", f"the form cannot be read: {error}") from error
    if any("\0" in text for pair in pairs for text in pair):
        raise bad_request("invalid_body", "a text in the form holds the character U+0000, which cannot be kept")
    return Form({name: text.replace("\r\n", "\n") for name, text in pairs})


def is_number(text: str) -> bool:
    """Whether it is the number of a row; Postgres holds 18 digits in any case."""
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


def query_form(request: web.Request) -> Form:
    """The same of a GET's query: filters, and what a link fills in."""
    return Form({name: text.replace("\0", "") for name, text in request.query.items()})


def _zoned(text: str) -> str:
    """A browser's local time is taken for UTC, which the label says."""
    if len(text) == _LOCAL_TIME:
        return f"{text}:00Z"
    return text if text.endswith(("Z", "z")) or "+" in text or text.count("-") > 2 else f"{text}Z"  # noqa: PLR2004
