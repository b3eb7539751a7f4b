"""What Stripe's metadata says of the catalogue: `feature_codes`, `grant_days`, on a price or its product. Pure.

`feature_codes` is comma-separated: `pro, seats=5, calls=100/unit, exports=unlimited`; `/unit` is times the quantity.
Key present without a feature in it: it grants nothing; a comma alone says that, because Stripe keeps no empty value.
Features attached to a product at Stripe are added to what its metadata names, which alone can give values.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, assert_never

from common.catalogue import Feature, Kind
from common.document import MAX_LIMIT, UNLIMITED, Value
from common.identifiers import FeatureCode, IdentifierError, feature_code
from writer.domain.catalogue import Origin, Plan, PlanFeature

_log = logging.getLogger(__name__)

FEATURES_KEY: Final = "feature_codes"
_MAX_GRANT_DAYS: Final = 36_500
_NOTHING: Final = ","
_PER_UNIT: Final = "/unit"


class Mention(NamedTuple):
    """A feature as a text names it."""

    code: FeatureCode
    value: Value
    per_unit: bool


def plans_and_features(
    texts: Mapping[str, str],
    known: Mapping[FeatureCode, Feature],
    attached: Mapping[str, Sequence[FeatureCode]] | None = None,
) -> tuple[dict[str, Plan], dict[FeatureCode, Feature]]:
    """Plans by target and the features they bring along, from `feature_codes` texts by price or product id.

    `attached` are features by product, as plain ones; a text that names one of them too says its value.
    `known` are the features that the catalogue itself declares: their kind decides. What does not fit is passed over
    and logged, because a typo in Stripe's dashboard must not stop payments.
    """
    also = attached or {}
    mentions = {
        target: [*_mentions(target, texts.get(target, ""), also.get(target, ()))]
        for target in sorted(texts.keys() | also.keys())
    }
    limits = {mention.code for named in mentions.values() for mention in named if mention.value is not None}
    added = {
        mention.code: Feature(mention.code, Kind.LIMIT if mention.code in limits else Kind.PLAIN)
        for named in mentions.values()
        for mention in named
        if mention.code not in known
    }
    features = {**known, **added}
    plans = {
        target: Plan(target, Origin.STRIPE, tuple(_granted(target, named, features)))
        for target, named in mentions.items()
    }
    return plans, added


def write(plan: Plan, features: Mapping[FeatureCode, Feature]) -> tuple[str, list[FeatureCode]]:
    """The plan as a `feature_codes` text, and the features that it cannot say: configurations."""
    parts: list[str] = []
    left_out: list[FeatureCode] = []
    for granted in plan.features:
        match features[granted.feature_code].kind:
            case Kind.PLAIN:
                parts.append(granted.feature_code)
            case Kind.LIMIT:
                parts.append(f"{granted.feature_code}={granted.value}{_PER_UNIT if granted.per_unit else ''}")
            case Kind.CONFIG:
                left_out.append(granted.feature_code)
            case never:
                assert_never(never)
    return ", ".join(parts) or _NOTHING, left_out


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


def _mentions(target: str, text: str, attached: Sequence[FeatureCode]) -> Iterator[Mention]:
    seen: set[FeatureCode] = set()
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, written = (piece.strip() for piece in part.partition("="))
        try:
            code = feature_code(name)
            value, per_unit = _value(written) if equals else (None, False)
        except (IdentifierError, ValueError) as error:
            _log.warning("feature_codes part is passed over target=%s part=%.80r: %s", target, part, error)
            continue
        if code not in seen:
            seen.add(code)
            yield Mention(code, value, per_unit)
    yield from (Mention(code, None, per_unit=False) for code in attached if code not in seen)


def _value(written: str) -> tuple[Value, bool]:
    number = written.removesuffix(_PER_UNIT).rstrip()
    if written == UNLIMITED:
        return UNLIMITED, False
    if number.isascii() and number.isdecimal() and int(number) <= MAX_LIMIT:
        return int(number), number != written
    raise ValueError(f"a value is a whole number, one with {_PER_UNIT} behind it, or {UNLIMITED}")


def _granted(target: str, named: Iterable[Mention], features: Mapping[FeatureCode, Feature]) -> Iterator[PlanFeature]:
    for code, value, per_unit in sorted(named, key=lambda mention: mention.code):
        kind = features[code].kind
        if kind is Kind.PLAIN:
            yield PlanFeature(code)
        elif kind is Kind.LIMIT and value is not None:
            yield PlanFeature(code, value, per_unit)
        else:
            _log.warning(
                "feature is passed over target=%s feature=%s: a %s needs a value, in feature_codes or catalog.yaml",
                target,
                code,
                kind.value,
            )
