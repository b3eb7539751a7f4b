"""What a stream tells of answers that change."""

from dataclasses import replace
from typing import Any

import pytest

from common.catalogue import Catalogue
from common.clock import SECOND, Instant, format_time
from common.decision import decide
from common.document import Document, Entitlement
from common.identifiers import UserId
from common.position import Position
from sidecar.telling import Answers, Cause, Event, Name, Teller
from tests.support.history import FEATURES, PROJECT, START, grant

ANN = UserId("ann")
HOUR = 3600 * SECOND
NOW = Instant(START + 1000 * HOUR)
CATALOGUE = Catalogue(PROJECT, 1, 1, 1, {f.code: f for f in FEATURES}, {f.code: ("price_1",) for f in FEATURES})


def answers(*rows: Entitlement, at: int = 5, written: int = 5, now: int = NOW, epoch: int = 1) -> Answers:
    """What somebody with these rows may do now; the document was computed an hour ago."""
    computed = Instant(NOW - HOUR)
    document = Document(ANN, PROJECT, epoch, written, computed, rows) if rows else None
    decisions = {code: decide(rows, code, CATALOGUE, Instant(now)) for code in CATALOGUE.features}
    return Answers(ANN, PROJECT, Position(epoch, at), CATALOGUE.position, document, decisions)


def teller(*, resuming: bool = False) -> Teller:
    """One that announces an end an hour before."""
    return Teller(HOUR, resuming=resuming)


def names(events: list[Event]) -> list[Name]:
    """What they are."""
    return [event.name for event in events]


def cause(events: list[Event]) -> Any:
    """Why the state is told."""
    return next(event.data["cause"] for event in events if event.name is Name.ENTITLEMENTS)


STATE = [Name.ENTITLEMENTS, Name.MESSAGE]


def test_the_first_words_are_the_whole_state() -> None:
    """Each feature of the catalogue as a check answers it; beside it OpenFeature's word for the same."""
    state, message = teller().tell(answers(grant("seats", 5)), NOW)
    granted = {"allowed": True, "value": None, "source": "default", "valid_to": None, "reason": "granted"}
    assert state == Event(
        Name.ENTITLEMENTS,
        {
            "user_id": "ann",
            "project_id": "shop",
            "cause": "connected",
            "epoch": 1,
            "revision": 5,
            "stale": False,
            "features": {
                "pro": {
                    "allowed": False,
                    "value": None,
                    "source": None,
                    "valid_to": None,
                    "reason": "not_granted",
                    "unlocked_by": ["price_1"],
                },
                "free": granted,
                "seats": {**granted, "value": 5, "source": "subscription"},
            },
        },
    )
    assert message == Event(Name.MESSAGE, {"type": "refetchEvaluation"})


def test_nothing_new_is_not_told() -> None:
    """The copy moved on by the changes of others."""
    told = teller()
    told.tell(answers(grant()), NOW)
    assert told.tell(answers(grant(), at=9), NOW) == []


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (answers(grant(), at=6, written=6), Cause.CHANGED),
        (answers(at=6), Cause.CHANGED),
        (answers(grant(), epoch=2), Cause.RESYNC),
        (replace(answers(grant()), catalogue=Position(1, 6), decisions={}), Cause.CHANGED),
        (answers(grant(valid_to=NOW + 9 * HOUR), now=NOW + 9 * HOUR), Cause.TIME),
    ],
)
def test_what_changed_is_told_with_its_cause(after: Answers, why: Cause) -> None:
    """Document, catalogue, lineage, and time alone."""
    told = teller()
    told.tell(answers(grant(valid_to=NOW + 9 * HOUR) if why is Cause.TIME else grant()), NOW)
    assert cause(told.tell(after, NOW)) == why


def test_a_catalogue_that_changes_no_answer_is_not_told() -> None:
    """Its other users' features are nobody's news here."""
    told = teller()
    told.tell(answers(grant()), NOW)
    assert told.tell(replace(answers(grant()), catalogue=Position(1, 6)), NOW) == []


def test_an_end_is_announced_once_and_told_when_it_comes() -> None:
    """`expiring` an hour before, `expired` at the end; in between nothing, though the clock is looked at again."""
    end = NOW + 9 * HOUR
    told, row = teller(), grant(valid_to=end)
    assert names(told.tell(answers(row), NOW)) == STATE
    assert told.look_again(NOW) == end - HOUR
    (expiring,) = told.tell(answers(row, now=end - HOUR), Instant(end - HOUR))
    assert expiring == Event(
        Name.EXPIRING,
        {
            "user_id": "ann",
            "project_id": "shop",
            "feature": "pro",
            "source": "subscription",
            "valid_to": format_time(Instant(end)),
            "epoch": 1,
            "revision": 5,
        },
    )
    assert told.look_again(Instant(end - HOUR)) == end
    assert told.tell(answers(row, now=end - 1), Instant(end - 1)) == []
    state, expired, message = told.tell(answers(row, now=end), Instant(end))
    assert state.data["features"]["pro"]["reason"] == "expired"
    assert (expired.name, expired.data) == (Name.EXPIRED, expiring.data)
    assert message.name is Name.MESSAGE
    assert told.look_again(Instant(end)) is None


def test_a_renewed_end_is_announced_anew() -> None:
    """Each end once: the old one is no news any more, the new one will be."""
    told = teller()
    end = NOW + HOUR // 2
    assert names(told.tell(answers(grant(valid_to=end)), NOW)) == [Name.ENTITLEMENTS, Name.EXPIRING, Name.MESSAGE]
    renewed = answers(grant(valid_to=end + 9 * HOUR), written=6, at=6)
    assert names(told.tell(renewed, NOW)) == STATE
    again = Instant(end + 8 * HOUR)
    late = answers(grant(valid_to=end + 9 * HOUR), written=6, at=6, now=again)
    assert names(told.tell(late, again)) == [Name.EXPIRING]


def test_a_grant_that_begins_later_wakes_the_stream() -> None:
    """Time alone makes it hold."""
    told, row = teller(), grant(valid_from=NOW + HOUR)
    told.tell(answers(row), NOW)
    assert told.look_again(NOW) == NOW + HOUR
    begun = told.tell(answers(row, now=NOW + HOUR), Instant(NOW + HOUR))
    assert (names(begun), cause(begun)) == (STATE, Cause.TIME)


def test_what_another_grant_holds_up_has_not_expired() -> None:
    """One of two ends; the feature stays, until later."""
    told = teller()
    rows = (grant(valid_to=NOW + 2 * HOUR, ref="sub_1"), grant(valid_to=NOW + 9 * HOUR, ref="sub_2"))
    told.tell(answers(*rows), NOW)
    assert told.tell(answers(*rows, now=NOW + 2 * HOUR), Instant(NOW + 2 * HOUR)) == []


@pytest.mark.parametrize(
    ("told", "held", "known"),
    [
        (Position(1, 5), answers(grant(), at=9), True),
        (Position(1, 4), answers(grant(), at=9), False),
        (Position(1, 5), answers(grant(), epoch=2), False),
        (Position(1, 9), answers(grant(), at=5), False),
        (Position(1, 5), answers(at=9), False),
        (Position(1, 5), replace(answers(grant(), at=9), catalogue=Position(1, 6)), False),
        (Position(1, 5), answers(grant(valid_to=NOW - HOUR // 2), at=9), False),
        (Position(1, 5), answers(grant(valid_from=NOW - HOUR // 2), at=9), False),
        (Position(1, 5), answers(grant(valid_from=NOW - HOUR - SECOND), at=9), False),
        (Position(1, 5), answers(grant(valid_to=NOW + HOUR), at=9), True),
        (Position(1, 5), answers(grant(valid_from=NOW - 2 * HOUR, valid_to=NOW - HOUR * 3 // 2), at=9), True),
    ],
)
def test_who_resumes_is_spared_only_what_is_known(told: Position, held: Answers, known: bool) -> None:
    """Only where neither document, catalogue, lineage nor time can have changed anything since."""
    assert held.known_at(told, NOW, 2.0) is known


def test_who_resumes_and_missed_something_is_told_everything() -> None:
    """The cause says that what happened in between is not told one by one."""
    assert cause(teller(resuming=True).tell(answers(grant()), NOW)) == Cause.RESYNC


def test_who_resumes_and_missed_nothing_hears_of_ends_all_the_same() -> None:
    """A heads-up may have been lost with the connection: better twice than never."""
    told, held = teller(resuming=True), answers(grant(valid_to=NOW + HOUR // 2))
    told.assume(held)
    assert names(told.tell(held, NOW)) == [Name.EXPIRING]
