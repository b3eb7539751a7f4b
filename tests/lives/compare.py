"""What the writer holds beside what the oracle says, at every moment that could tell them apart."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from common.catalogue import Catalogue
from common.clock import SECOND, Instant
from common.decision import decide
from common.document import Document, Entitlement
from common.identifiers import FeatureCode
from tests.lives.answers import Answer, answer, answers
from tests.lives.oracle import DAY, HOUR, Oracle, Row, Who

_AHEAD: Final = (0, 1, HOUR, 3 * DAY, 29 * DAY, 400 * DAY)


@dataclass(frozen=True, slots=True)
class Held:
    """A project as the writer publishes it: its catalogue, and everybody's document."""

    catalogue: Catalogue
    documents: dict[str, Document]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the two see otherwise."""

    who: Who
    about: str
    oracle: object
    writer: object

    def __str__(self) -> str:
        """For people."""
        return f"{self.who[1]} in {self.who[0]}: {self.about}\n    oracle: {self.oracle}\n    writer: {self.writer}"


def differences(oracle: Oracle, held: dict[str, Held], now: int) -> list[Difference]:
    """Everything that differs: the catalogues, the rows that count or will count, and the answers over time."""
    found = list(_catalogues(oracle, held))
    users = set(oracle.rows) | {(p, user) for p, one in held.items() for user in one.documents}
    for who in sorted(users):
        found += _of_user(oracle, who, held[who[0]], now)
    return found


def _catalogues(oracle: Oracle, held: dict[str, Held]) -> Iterator[Difference]:
    for project, one in held.items():
        says = {code: (f.kind, f.combine, f.default) for code, f in oracle.catalogues.features[project].items()}
        has = {str(c): (f.kind.value, f.combine.value, f.default) for c, f in one.catalogue.features.items()}
        if says != has:
            yield Difference((project, "everybody"), "the features", says, has)


def _of_user(oracle: Oracle, who: Who, held: Held, now: int) -> Iterator[Difference]:
    rows = oracle.rows.get(who, [])
    document = held.documents.get(who[1])
    entitlements = document.entitlements if document else ()
    said, written = _told(rows, now), sorted(_row(one) for one in entitlements if _counts(_seconds(one.valid_to), now))
    if said != written:
        yield Difference(
            who, "the rows", [r for r in said if r not in written], [r for r in written if r not in said]
        )  # fmt: skip
    for code, feature in oracle.catalogues.features[who[0]].items():
        of_feature = [row for row in rows if row.feature == code]
        for moment in _moments(of_feature, entitlements, code, now):
            right = answers(feature, of_feature, moment)
            given = _decided(entitlements, code, held.catalogue, moment)
            if given not in right:
                yield Difference(who, f"{code} at {moment} (now {moment - now:+} s)", sorted(right), given)


def _decided(entitlements: Sequence[Entitlement], code: str, catalogue: Catalogue, moment: int) -> Answer:
    decision = decide(entitlements, FeatureCode(code), catalogue, Instant(moment * SECOND))
    return answer(allowed=decision.allowed, value=decision.value)


def _moments(rows: Iterable[Row], entitlements: Iterable[Entitlement], code: str, now: int) -> list[int]:
    """Now, somewhat later, and around every beginning and end to come, whoever of the two tells of it."""
    edges = {edge for row in rows for edge in (row.start, row.end) if edge is not None}
    for one in entitlements:
        if one.feature_code == code:
            edges |= {edge // SECOND for edge in (one.valid_from, one.valid_to) if edge is not None}
    around = {edge + step for edge in edges for step in (-1, 0, 1)}
    return sorted({now + ahead for ahead in _AHEAD} | {moment for moment in around if moment >= now})


Told = tuple[str, str, str, int, int, str]


def _told(rows: Iterable[Row], now: int) -> list[Told]:
    return sorted(
        (r.feature, r.source, r.ref, r.start, -1 if r.end is None else r.end, answer(allowed=True, value=r.value)[1])
        for r in rows
        if _counts(r.end, now)
    )


def _row(one: Entitlement) -> Told:
    end = _seconds(one.valid_to)
    value = answer(allowed=True, value=one.value)[1]
    start = one.valid_from // SECOND
    return str(one.feature_code), one.source.value, one.source_ref, start, -1 if end is None else end, value


def _counts(end: int | None, now: int) -> bool:
    return end is None or end > now


def _seconds(instant: Instant | None) -> int | None:
    return None if instant is None else instant // SECOND
