"""From a decision to a flag as OpenFeature's clients read it: value, variant, reason, metadata. Pure.

A plain feature is a boolean, a limit a whole number (0 where it is denied), a configuration the text or object that it
is. What has no value to give, a configuration that is denied, leaves it out: the client takes the default that stands
in its code. The protocol knows only whole numbers, so "unlimited" is one, too, and told in the metadata.
"""

from enum import StrEnum
from typing import Any, Final, assert_never

from common.catalogue import Feature, Kind
from common.clock import format_time
from common.decision import Decision, Reason
from common.document import UNLIMITED, Value

Flag = dict[str, Any]
"""An evaluation in the protocol's shape."""


MEMBER: Final = ":"
"""Parts a configuration from one of its members in a flag's key. No feature's code holds it."""


class FlagReason(StrEnum):
    """The protocol's words for why a flag has its value; our own word stands in the metadata."""

    STATIC = "STATIC"
    """Everybody has it: the catalogue's default."""
    TARGETING_MATCH = "TARGETING_MATCH"
    """The user holds it."""
    DISABLED = "DISABLED"
    """The user does not hold it."""
    UNKNOWN = "UNKNOWN"
    """The copy is too old, and the stale policy decided."""


def flag_of(feature: Feature, decision: Decision, unlimited_as: int) -> Flag:
    """What was decided on one feature; `unlimited_as` is the number that stands for "unlimited"."""
    value = _value(feature, decision)
    flag: Flag = {"key": feature.code}
    if value is not None:
        flag["value"] = unlimited_as if value == UNLIMITED and feature.kind is Kind.LIMIT else value
    flag["reason"] = _reason(decision)
    flag["variant"] = _variant(feature, decision, value)
    flag["metadata"] = _metadata(feature, decision, value)
    return flag


def member_of(flag: Flag, member: str) -> Flag:
    """A member of a configuration as a flag of its own; without a value where the configuration has no such member."""
    value = flag.get("value")
    held = value.get(member) if isinstance(value, dict) else None
    rest = {name: told for name, told in flag.items() if name not in {"key", "value"}}
    key = {"key": f"{flag['key']}{MEMBER}{member}"}
    return {**key, **rest} if held is None else {**key, "value": held, **rest}


def _value(feature: Feature, decision: Decision) -> Value:
    match feature.kind:
        case Kind.PLAIN:
            return decision.allowed
        case Kind.LIMIT:
            return decision.value if decision.allowed else 0
        case Kind.CONFIG:
            return decision.value if decision.allowed else None
        case _:
            assert_never(feature.kind)


def _variant(feature: Feature, decision: Decision, value: Value) -> str:
    if not decision.allowed:
        return "off"
    return str(value) if feature.kind is Kind.LIMIT and value is not None else "on"


def _reason(decision: Decision) -> FlagReason:
    match decision.reason:
        case Reason.GRANTED:
            return FlagReason.STATIC if decision.source == "default" else FlagReason.TARGETING_MATCH
        case Reason.NOT_GRANTED | Reason.EXPIRED | Reason.NOT_YET_VALID | Reason.UNKNOWN_FEATURE:
            return FlagReason.DISABLED
        case Reason.STALE_DENIED | Reason.STALE_ALLOWED:
            return FlagReason.UNKNOWN
        case _:
            assert_never(decision.reason)


def _metadata(feature: Feature, decision: Decision, value: Value) -> dict[str, Any]:
    """Texts, numbers and booleans, as the protocol wants it: what does not apply is left out, a list is one text."""
    metadata: dict[str, Any] = {"kind": feature.kind, "reason": decision.reason}
    if decision.source is not None:
        metadata["source"] = decision.source
    if decision.valid_to is not None:
        metadata["valid_to"] = format_time(decision.valid_to)
    if feature.kind is Kind.LIMIT and value == UNLIMITED:
        metadata["unlimited"] = True
    if decision.unlocked_by:
        metadata["unlocked_by"] = ",".join(decision.unlocked_by)
    return metadata
