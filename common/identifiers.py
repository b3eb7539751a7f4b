"""Names of things that cross the wire, and what each may look like."""

import re
from typing import NewType

ProjectId = NewType("ProjectId", str)
"""A project's public id, `{p}` in keys: `[A-Za-z0-9_.-]{1,64}`."""

UserId = NewType("UserId", str)
"""Any subject that can hold an entitlement, `{u}` in keys: 1 to 255 characters, none of them a control character."""

FeatureCode = NewType("FeatureCode", str)
"""A feature's code: `[A-Za-z0-9_.-]{1,64}`."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # a lone surrogate cannot be written as UTF-8

MAX_USER_ID = 255


class IdentifierError(ValueError):
    """A name from outside is not of its form."""


def project_id(text: str) -> ProjectId:
    """`text` as a project id; IdentifierError says what is allowed."""
    return ProjectId(_named("project_id", text))


def feature_code(text: str) -> FeatureCode:
    """`text` as a feature code; IdentifierError says what is allowed."""
    return FeatureCode(_named("feature", text))


def user_id(text: str) -> UserId:
    """`text` as a user id; IdentifierError says what is allowed."""
    if not 1 <= len(text) <= MAX_USER_ID or _CONTROL.search(text):
        raise IdentifierError(f"user_id must have 1 to {MAX_USER_ID} characters, none of them a control character")
    return UserId(text)


def _named(what: str, text: str) -> str:
    if not _NAME.fullmatch(text):
        raise IdentifierError(f"{what} must have 1 to 64 characters out of A-Z a-z 0-9 _ . -")
    return text
