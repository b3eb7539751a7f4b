"""Leaves rows out of a large document that no answer can ever come from. Pure.

A user with thousands of purchases has thousands of rows of the same feature; a reader refuses a document beyond its
bound. A row may go where, at every moment at which it grants or has ended, another row of the feature answers the same
or better. Rows of a summed limit all count: of them only those beside `unlimited` go.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import assert_never

from common.catalogue import Combine, Feature, Kind
from common.clock import SECOND, Instant
from common.document import UNLIMITED, Entitlement
from common.identifiers import FeatureCode

_SKEW = 300 * SECOND
"""A reader's clock may be behind ours: what ended just now may still be answered there."""
_FOREVER = 2**63
_UNLIMITED = 2**63
_NO_NUMBER = -1

_End = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A row, where it stands in the document, and when it begins, as far as that still matters."""

    row: Entitlement
    place: int
    start: Instant

    @property
    def end(self) -> _End:
        """The later end first, then the earlier place: that is the one that an answer names."""
        return (_FOREVER if self.row.valid_to is None else self.row.valid_to, -self.place)


class _Frontier:
    """Kept rows that no other covers, by start and, with it, rising end: who grants longest of those begun by then."""

    def __init__(self) -> None:
        self._starts: list[Instant] = []
        self._ends: list[_End] = []

    def covers(self, one: _Placed) -> bool:
        """Whether a row in here begins no later and ends later."""
        behind = bisect_right(self._starts, one.start)
        return behind > 0 and self._ends[behind - 1] > one.end

    def add(self, one: _Placed) -> None:
        """Take in a row that is not covered; those that it covers need not be looked at any more."""
        first = bisect_left(self._starts, one.start)
        last = first
        while last < len(self._ends) and self._ends[last] <= one.end:
            last += 1
        self._starts[first:last] = [one.start]
        self._ends[first:last] = [one.end]


def fold(rows: Sequence[Entitlement], features: Mapping[FeatureCode, Feature], now: Instant) -> tuple[Entitlement, ...]:
    """The rows, in the document's order, without those that no answer from `now` on can come from."""
    kept: list[_Placed] = []
    begun = Instant(now - _SKEW)
    placed = [_Placed(row, place, max(row.valid_from, begun)) for place, row in enumerate(rows)]
    for code, group in groupby(placed, lambda one: one.row.feature_code):
        kept += _of_feature(_without_ended(list(group), begun), features[code])
    return tuple(one.row for one in sorted(kept, key=lambda one: one.place))


def _without_ended(group: list[_Placed], begun: Instant) -> list[_Placed]:
    # Of those that have ended, an answer names the one that ended last.
    ended = [one for one in group if one.row.valid_to is not None and one.row.valid_to <= begun]
    last = max(ended, key=lambda one: one.end, default=None)
    return [one for one in group if one is last or one.row.valid_to is None or one.row.valid_to > begun]


def _of_feature(group: list[_Placed], feature: Feature) -> Iterator[_Placed]:
    match feature.kind:
        case Kind.PLAIN:
            yield from _uncovered(sorted(group, key=lambda one: (one.start, _latest_first(one))))
        case Kind.CONFIG:
            # The first active row is the answer: only an earlier one can cover another.
            yield from _uncovered(group)
        case Kind.LIMIT:
            ordered = sorted(group, key=lambda one: (-_number(one.row), one.start, _latest_first(one)))
            yield from _uncovered(ordered, only_unlimited=feature.combine is Combine.SUM)
        case never:
            assert_never(never)


def _uncovered(ordered: Iterable[_Placed], *, only_unlimited: bool = False) -> Iterator[_Placed]:
    frontier = _Frontier()
    for one in ordered:
        if frontier.covers(one):
            continue
        if not only_unlimited or one.row.value == UNLIMITED:
            frontier.add(one)
        yield one


def _latest_first(one: _Placed) -> tuple[int, int]:
    end, place = one.end
    return -end, -place


def _number(row: Entitlement) -> int:
    if row.value == UNLIMITED:
        return _UNLIMITED
    return row.value if type(row.value) is int else _NO_NUMBER
