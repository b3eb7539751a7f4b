"""What somebody declared of one project's catalogue: features and plans, before they become a version."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from common.catalogue import Feature, Kind
from common.document import MAX_LIMIT, UNLIMITED
from common.identifiers import FeatureCode
from writer.domain.catalogue import Plan

TARGET: Final = re.compile(r"(?:price|prod)_[A-Za-z0-9_]{1,250}")
"""What a plan may be declared for: a Stripe price or product."""

MAX_CONFIG_BYTES: Final = 16 * 1024
"""A configuration is in every holder's document, in every copy."""


@dataclass(frozen=True, slots=True)
class DeclaredFeature:
    """A feature and its name for people."""

    feature: Feature
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectCatalog:
    """One project's part of catalog.yaml, or the whole body of the admin route."""

    features: Mapping[FeatureCode, DeclaredFeature] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    name: str | None = None
    """The project's name for people; None leaves it."""


def value_fault(kind: Kind, value: Any) -> str | None:
    """What is wrong with a value for a feature of that kind; None: nothing."""
    match kind:
        case Kind.PLAIN:
            return None if value is None else "a plain feature has no value"
        case Kind.LIMIT:
            good = value == UNLIMITED or (type(value) is int and 0 <= value <= MAX_LIMIT)
            return None if good else f'a limit is a whole number from 0 to {MAX_LIMIT}, or "{UNLIMITED}"'
        case Kind.CONFIG:
            return _config_fault(value)


def keepable(text: str) -> bool:
    """Whether Postgres and UTF-8 can hold the text: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _config_fault(value: Any) -> str | None:
    if not isinstance(value, str | dict):
        return "a configuration is text or an object"
    try:
        size = _size(value)
    except ValueError as error:
        return str(error)
    return None if size <= MAX_CONFIG_BYTES else f"a configuration may have {MAX_CONFIG_BYTES} bytes"


def _size(value: Any, depth: int = 0) -> int:
    """About how many bytes `value` has as JSON; ValueError where JSON, or Postgres, cannot hold it."""
    if depth > 20:  # noqa: PLR2004 - far beyond what anybody configures
        raise ValueError("a configuration may be nested 20 deep")
    match value:
        case str():
            if not keepable(value):
                raise ValueError("a text may not hold U+0000 or half of a surrogate pair")
            return len(value.encode()) + 2
        case bool() | None:
            return 5
        case int() if abs(value) <= MAX_LIMIT:
            return len(str(value))
        case float() if value - value == 0:
            return 20
        case list():
            return sum(_size(part, depth + 1) + 1 for part in value) + 2
        case dict() if all(isinstance(name, str) for name in value):
            return sum(_size(name, depth + 1) + _size(part, depth + 1) + 2 for name, part in value.items()) + 2
        case _:
            raise ValueError("a configuration holds only text, numbers, true, false, null, lists and objects")
