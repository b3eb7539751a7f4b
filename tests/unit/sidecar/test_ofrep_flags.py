"""From a decision to a flag."""

from typing import Any

import orjson
import pytest

from common.catalogue import Feature, Kind
from common.clock import Instant
from common.decision import Decision, Reason
from common.document import Value
from sidecar.ofrep_flags import flag_of, member_of
from tests.support.history import feature

PLAIN, LIMIT, CONFIG = feature("f"), feature("f", Kind.LIMIT), feature("f", Kind.CONFIG)


def granted(value: Value = None, source: str = "purchase") -> Decision:
    """Something is held."""
    return Decision(allowed=True, reason=Reason.GRANTED, value=value, source=source)


def denied(reason: Reason = Reason.NOT_GRANTED, value: Value = None) -> Decision:
    """Nothing is."""
    return Decision(allowed=False, reason=reason, value=value, unlocked_by=("price_a", "price_b"))


def told(feature: Feature, decision: Decision) -> Any:
    """The flag as it is sent."""
    return orjson.loads(orjson.dumps(flag_of(feature, decision, 9)))


@pytest.mark.parametrize(
    ("feature", "decision", "value", "reason", "variant"),
    [
        (PLAIN, granted(), True, "TARGETING_MATCH", "on"),
        (PLAIN, granted(source="default"), True, "STATIC", "on"),
        (PLAIN, denied(Reason.NOT_YET_VALID), False, "DISABLED", "off"),
        (LIMIT, granted(7), 7, "TARGETING_MATCH", "7"),
        (LIMIT, granted("unlimited"), 9, "TARGETING_MATCH", "unlimited"),
        (LIMIT, denied(value=0), 0, "DISABLED", "off"),
        (CONFIG, granted("text"), "text", "TARGETING_MATCH", "on"),
        (CONFIG, granted("unlimited"), "unlimited", "TARGETING_MATCH", "on"),
        (CONFIG, granted({"a": 1.0}), {"a": 1.0}, "TARGETING_MATCH", "on"),
        (CONFIG, denied(), None, "DISABLED", "off"),
        # Too old a copy: what a policy allows without knowing it has no value, except where yes is all there is.
        (PLAIN, Decision(allowed=True, reason=Reason.STALE_ALLOWED), True, "UNKNOWN", "on"),
        (LIMIT, Decision(allowed=True, reason=Reason.STALE_ALLOWED), None, "UNKNOWN", "on"),
        (LIMIT, Decision(allowed=True, reason=Reason.STALE_ALLOWED, value=3), 3, "UNKNOWN", "3"),
        (CONFIG, Decision(allowed=True, reason=Reason.STALE_ALLOWED), None, "UNKNOWN", "on"),
        (PLAIN, denied(Reason.STALE_DENIED), False, "UNKNOWN", "off"),
        (LIMIT, denied(Reason.STALE_DENIED), 0, "UNKNOWN", "off"),
    ],
)
def test_a_decision_becomes_a_flag(
    feature: Feature, decision: Decision, value: Value, reason: str, variant: str
) -> None:
    """Value, reason and variant follow the feature's kind and the decision; no value is none at all."""
    flag = told(feature, decision)
    assert (flag["key"], flag["reason"], flag["variant"]) == ("f", reason, variant)
    assert (flag.get("value"), "value" in flag) == (value, value is not None)


def test_metadata_is_plain() -> None:
    """Nothing but texts, numbers and booleans, and nothing that does not apply."""
    assert told(LIMIT, granted("unlimited"))["metadata"] == {
        "kind": "limit",
        "reason": "granted",
        "source": "purchase",
        "unlimited": True,
    }
    assert told(CONFIG, granted("unlimited"))["metadata"] == {
        "kind": "config",
        "reason": "granted",
        "source": "purchase",
    }
    expired = Decision(allowed=False, reason=Reason.EXPIRED, source="purchase", valid_to=Instant(0))
    assert told(PLAIN, expired)["metadata"]["valid_to"] == "1970-01-01T00:00:00Z"
    assert told(PLAIN, denied())["metadata"]["unlocked_by"] == "price_a,price_b"


@pytest.mark.parametrize(
    ("held", "value"),
    [({"m": 2.0}, 2.0), ({"m": False}, False), ({"m": 0}, 0), ({"m": None}, None), ({}, None), ("text", None)],
)
def test_a_member_is_a_flag_of_its_own(held: Value, value: Value) -> None:
    """With the metadata of its configuration; without a value where that has no such member."""
    flag = member_of(flag_of(CONFIG, granted(held), 9), "m")
    assert (flag["key"], flag.get("value"), "value" in flag) == ("f:m", value, value is not None)
    assert next(iter(flag)) == "key"
    assert flag["metadata"] == flag_of(CONFIG, granted(held), 9)["metadata"]
