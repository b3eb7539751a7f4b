"""What Stripe's metadata says of the catalogue: `feature_codes`, `grant_days`, on a price or its product. Pure.

`feature_codes` is comma-separated: `pro, seats=5, exports=unlimited`. Key present and empty: it grants nothing.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from common.catalogue import Feature, Kind
from common.document import MAX_LIMIT, UNLIMITED, Value
from common.identifiers import FeatureCode, IdentifierError, feature_code
from writer.domain.catalogue import Origin, Plan, PlanFeature

_log = logging.getLogger(__name__)

FEATURES_KEY: Final = "feature_codes"
_MAX_GRANT_DAYS: Final = 36_500

Mention = tuple[FeatureCode, Value]


def plans_and_features(
    texts: Mapping[str, str], known: Mapping[FeatureCode, Feature]
) -> tuple[dict[str, Plan], dict[FeatureCode, Feature]]:
    """Plans by target and the features they bring along, from `feature_codes` texts by price or product id.

    `known` are the features that the catalogue itself declares: their kind decides. What does not fit is passed over
    and logged, because a typo in Stripe's dashboard must not stop payments.
    """
    mentions = {target: list(_mentions(target, text)) for target, text in sorted(texts.items())}
    limits = {code for named in mentions.values() for code, value in named if value is not None}
    added = {
        code: Feature(code, Kind.LIMIT if code in limits else Kind.PLAIN)
        for named in mentions.values()
        for code, _ in named
        if code not in known
    }
    features = {**known, **added}
    plans = {
        target: Plan(target, Origin.STRIPE, tuple(_granted(target, named, features)))
        for target, named in mentions.items()
    }
    return plans, added


def grant_days(metadata: Mapping[str, str], product_metadata: Mapping[str, str]) -> int | None:
    """How long a purchase of the price grants: the price's word, then its product's; None: for life."""
    for place in (metadata, product_metadata):
        text = str(place.get("grant_days", "")).strip()
        if not text:
            continue
        if text.isascii() and text.isdecimal() and 1 <= int(text) <= _MAX_GRANT_DAYS:
            return int(text)
        _log.warning("grant_days is passed over: it must be a whole number from 1 to %d", _MAX_GRANT_DAYS)
    return None


def _mentions(target: str, text: str) -> Iterator[Mention]:
    seen: set[FeatureCode] = set()
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, written = (piece.strip() for piece in part.partition("="))
        try:
            code = feature_code(name)
            value = _value(written) if equals else None
        except (IdentifierError, ValueError) as error:
            _log.warning("feature_codes part is passed over target=%s part=%.80r: %s", target, part, error)
            continue
        if code not in seen:
            seen.add(code)
            yield code, value


def _value(written: str) -> Value:
    if written == UNLIMITED:
        return UNLIMITED
    if written.isascii() and written.isdecimal() and int(written) <= MAX_LIMIT:
        return int(written)
    raise ValueError(f"a value is a whole number or {UNLIMITED}")


def _granted(target: str, named: Iterable[Mention], features: Mapping[FeatureCode, Feature]) -> Iterator[PlanFeature]:
    for code, value in sorted(named, key=lambda mention: mention[0]):
        kind = features[code].kind
        if kind is Kind.PLAIN:
            yield PlanFeature(code)
        elif kind is Kind.LIMIT and value is not None:
            yield PlanFeature(code, value)
        else:
            _log.warning(
                "feature_codes part is passed over target=%s feature=%s: a %s needs a value", target, code, kind.value
            )
