"""Which state is newer, and whose something is."""

import pytest

from common.clock import SECOND, Instant
from common.identifiers import UserId
from writer.domain.stripe.ownership import Claims, Known, Unassigned, resolve
from writer.domain.stripe.watermark import NOTHING_HELD, Verdict, Watermark

NEW, OLD, UNCLEAR = Verdict.NEWER, Verdict.OLDER, Verdict.UNCLEAR


def at(seconds: float | None) -> Instant | None:
    """A moment near some start."""
    return None if seconds is None else Instant(round((1_000 + seconds) * SECOND))


@pytest.mark.parametrize(
    ("event", "fetch", "verdicts"),
    [
        (None, None, {0: NEW}),
        (10, None, {9: OLD, 10: UNCLEAR, 11: NEW}),
        (None, 10, {7: OLD, 8: UNCLEAR, 10: UNCLEAR, 12: UNCLEAR, 13: NEW}),
        (10, 5, {7: OLD, 9: OLD, 10: UNCLEAR, 11: NEW}),
        (10, 20, {9: OLD, 10: OLD, 11: OLD, 17: OLD, 18: UNCLEAR, 22: UNCLEAR, 23: NEW}),
        (20, 21, {18: OLD, 19: OLD, 20: UNCLEAR, 21: UNCLEAR, 23: UNCLEAR, 24: NEW}),
        (None, 10.000007, {7: OLD, 8: UNCLEAR, 12: UNCLEAR, 13: NEW}),
    ],
)
def test_an_event_against_what_is_held(event: int | None, fetch: float | None, verdicts: dict[int, Verdict]) -> None:
    """Strictly newer is applied, the same second and two seconds around a fetch are unclear, the rest is old."""
    held = Watermark(at(event), at(fetch))
    assert {s: held.event(at(s) or Instant(0)) for s in verdicts} == verdicts


@pytest.mark.parametrize(
    ("event", "fetch", "verdicts"),
    [
        (None, None, {0: NEW}),
        (10, None, {7: OLD, 8: UNCLEAR, 10: UNCLEAR, 12: UNCLEAR, 13: NEW}),
        (5, 10, {7: OLD, 8: UNCLEAR, 12: UNCLEAR, 13: NEW}),
        (10, 5, {7: OLD, 8: UNCLEAR, 12: UNCLEAR, 13: NEW}),
    ],
)
def test_a_fetch_against_what_is_held(event: int | None, fetch: int | None, verdicts: dict[int, Verdict]) -> None:
    """Two seconds on either side of whatever is newest are unclear."""
    held = Watermark(at(event), at(fetch))
    assert {s: held.fetch(at(s) or Instant(0)) for s in verdicts} == verdicts


def test_every_applied_fetch_shows() -> None:
    """Two fetches of one second leave different marks, so that who fetched meanwhile sees that it was overtaken."""
    moment = at(5) or Instant(0)
    marks = [NOTHING_HELD.after_fetch(moment)]
    for as_of in (moment, moment, Instant(moment - SECOND)):
        marks.append(marks[-1].after_fetch(as_of))
    assert len(set(marks)) == 4
    assert {mark.event(at(7) or Instant(0)) for mark in marks} == {UNCLEAR}


SHOP, NOTES = 1, 2
KNOWN = Known({"shop": SHOP, "notes": NOTES}, {"price_shop": SHOP, "price_notes": NOTES})
ADA = UserId("ada")


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        (Claims({"user_id": "ada"}, "bob", "cleo", UserId("dan")), "ada"),
        (Claims({}, "bob", "cleo", UserId("dan")), "bob"),
        (Claims({"user_id": ""}, None, "cleo", UserId("dan")), "cleo"),
        (Claims({}, None, None, UserId("dan")), "dan"),
        (Claims({"email": "ada@example.com"}), None),
    ],
)
def test_the_best_claim_names_the_user(claims: Claims, user: str | None) -> None:
    """Metadata, then an operator's claim, then the session's reference, then the customer; never an address."""
    owned = resolve(claims, KNOWN, ["price_shop"])
    assert owned.user_id == user
    assert owned.unassigned is (None if user else Unassigned.NO_USER)


def test_items_of_several_projects_go_to_each() -> None:
    """Without a project in the metadata each price says; a price of nobody grants nothing."""
    owned = resolve(Claims({"user_id": "ada"}), KNOWN, ["price_shop", "price_notes", "price_x"])
    owners = [owned.owner_of(price) for price in ("price_shop", "price_notes", "price_x")]
    assert owners == [(SHOP, ADA), (NOTES, ADA), None]


def test_a_named_project_owns_what_nobody_sells() -> None:
    """The metadata's project counts for every line that no other project sells."""
    owned = resolve(Claims({"user_id": "ada", "project_id": "shop"}), KNOWN, ["price_shop", "price_x"])
    assert [owned.owner_of(price) for price in ("price_shop", "price_x")] == [(SHOP, ADA), (SHOP, ADA)]


@pytest.mark.parametrize(
    ("metadata", "prices", "reason"),
    [
        ({"user_id": "ada", "project_id": "shop"}, ["price_shop", "price_notes"], Unassigned.CONFLICT),
        ({"user_id": "ada", "project_id": "gone"}, ["price_shop"], Unassigned.UNKNOWN_PROJECT),
        ({"user_id": "a\nb"}, ["price_shop"], Unassigned.BAD_USER),
        ({"user_id": "a" * 256}, ["price_shop"], Unassigned.BAD_USER),
    ],
)
def test_what_contradicts_itself_is_nobodys(metadata: dict[str, str], prices: list[str], reason: Unassigned) -> None:
    """It stays ours, with the reason, and no line of it grants."""
    owned = resolve(Claims(metadata, customer_user_id=ADA), KNOWN, prices)
    assert (owned.ours, owned.unassigned) == (True, reason)
    assert [owned.owner_of(price) for price in prices] == [None] * len(prices)


@pytest.mark.parametrize("metadata", [{}, {"user_id": "ada"}, {"user_id": "ada", "project_id": "elsewhere"}])
def test_what_no_project_sells_is_not_ours(metadata: dict[str, str]) -> None:
    """Another app's object is neither assigned nor reported as unassigned."""
    owned = resolve(Claims(metadata), KNOWN, ["price_x"])
    assert (owned.ours, owned.unassigned, owned.owner_of("price_x")) == (False, None, None)
