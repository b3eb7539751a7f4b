"""The rules that turn a document and a catalogue into an answer, at one moment. Pure.

Writer and sidecar both answer `check`; they answer alike because both ask here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from common.catalogue import Catalogue, Combine, Feature, Kind
from common.clock import Instant
from common.document import UNLIMITED, Entitlement, Value
from common.identifiers import FeatureCode


class Reason(StrEnum):
    """Why an answer is what it is."""

    GRANTED = "granted"
    NOT_GRANTED = "not_granted"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    UNKNOWN_FEATURE = "unknown_feature"
    STALE_DENIED = "stale_denied"
    STALE_ALLOWED = "stale_allowed"


@dataclass(frozen=True, slots=True)
class Decision:
    """What one user may do with one feature.

    `source` is an entitlement's source or `default`; `valid_to` is when the answer's grant ends or ended, None for
    life; `unlocked_by` lists prices that would grant the feature, on a denial only.
    """

    allowed: bool
    reason: Reason
    value: Value = None
    source: str | None = None
    valid_to: Instant | None = None
    unlocked_by: tuple[str, ...] = ()


def decide(entitlements: Sequence[Entitlement], feature: FeatureCode, catalogue: Catalogue, now: Instant) -> Decision:
    """Judge `feature` at `now` from a user's document rows (best first within a feature) and the catalogue.

    A limit of 0 is held but allows nothing.
    """
    known = catalogue.features.get(feature)
    if known is None:
        return Decision(allowed=False, reason=Reason.UNKNOWN_FEATURE)
    rows = [e for e in entitlements if e.feature_code == feature]
    active = [e for e in rows if e.valid_from <= now and (e.valid_to is None or now < e.valid_to)]
    if active:
        return _granted(known, active, catalogue)
    if known.default is not None and known.default is not False:
        return _checked(known, known.default, "default", None, catalogue)
    return _denied(rows, feature, catalogue, now)


def remaining(decision: Decision, used: int) -> int | Literal["unlimited"] | None:
    """What is left of a limit after `used`; None where the feature is no limit or not held."""
    if decision.value == UNLIMITED:
        return UNLIMITED
    if type(decision.value) is not int:
        return None
    return max(decision.value - used, 0)


def _granted(feature: Feature, active: Sequence[Entitlement], catalogue: Catalogue) -> Decision:
    if feature.kind is Kind.LIMIT:
        return _limit(feature, active, catalogue)
    best = active[0] if feature.kind is Kind.CONFIG else _longest(active)
    return _checked(feature, best.value if feature.kind is Kind.CONFIG else None, best.source, best.valid_to, catalogue)


def _limit(feature: Feature, active: Sequence[Entitlement], catalogue: Catalogue) -> Decision:
    without_end = [e for e in active if e.value == UNLIMITED]
    if without_end:
        best = _longest(without_end)
        return _checked(feature, UNLIMITED, best.source, best.valid_to, catalogue)
    counted = [(e.value, e) for e in active if type(e.value) is int]
    if not counted:
        return _denied((), feature.code, catalogue, None)
    top = max(value for value, _ in counted)
    best = _longest([e for value, e in counted if value == top])
    if feature.combine is Combine.MAX:
        return _checked(feature, top, best.source, best.valid_to, catalogue)
    # A sum holds only until its first part ends.
    return _checked(feature, sum(value for value, _ in counted), best.source, _earliest(active), catalogue)


def _checked(feature: Feature, value: Value, source: str, valid_to: Instant | None, catalogue: Catalogue) -> Decision:
    if feature.kind is Kind.LIMIT and value == 0:
        prices = catalogue.unlocked_by.get(feature.code, ())
        return Decision(allowed=False, reason=Reason.NOT_GRANTED, value=0, source=source, unlocked_by=prices)
    return Decision(
        allowed=True,
        reason=Reason.GRANTED,
        value=None if feature.kind is Kind.PLAIN else value,
        source=str(source),
        valid_to=valid_to,
    )


def _denied(rows: Iterable[Entitlement], feature: FeatureCode, catalogue: Catalogue, now: Instant | None) -> Decision:
    prices = catalogue.unlocked_by.get(feature, ())
    ended = [e for e in rows if now is not None and e.valid_to is not None and e.valid_to <= now]
    if ended:
        last = _longest(ended)
        return Decision(
            allowed=False,
            reason=Reason.EXPIRED,
            source=str(last.source),
            valid_to=last.valid_to,
            unlocked_by=prices,
        )
    coming = any(now is not None and e.valid_from > now for e in rows)
    reason = Reason.NOT_YET_VALID if coming else Reason.NOT_GRANTED
    return Decision(allowed=False, reason=reason, unlocked_by=prices)


def _longest(rows: Sequence[Entitlement]) -> Entitlement:
    return max(rows, key=lambda e: (e.valid_to is None, e.valid_to or 0))


def _earliest(rows: Sequence[Entitlement]) -> Instant | None:
    return min((e.valid_to for e in rows if e.valid_to is not None), default=None)
