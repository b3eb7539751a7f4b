"""Folding a large document: rows go, answers stay."""

from hypothesis import given
from hypothesis import strategies as st

from common.catalogue import Catalogue, Combine, Feature, Kind
from common.clock import SECOND, Instant
from common.decision import decide
from common.document import UNLIMITED, Entitlement, Source
from common.identifiers import FeatureCode, ProjectId
from writer.domain.fold import fold

HOUR = 3_600 * SECOND
NOW = Instant(1_000_000 * HOUR)
PLAIN, MOST, SUM, CONFIG = map(FeatureCode, ("plain", "most", "sum", "config"))
FEATURES = {
    PLAIN: Feature(PLAIN),
    MOST: Feature(MOST, Kind.LIMIT, default=1),
    SUM: Feature(SUM, Kind.LIMIT, combine=Combine.SUM),
    CONFIG: Feature(CONFIG, Kind.CONFIG),
}
CATALOGUE = Catalogue(ProjectId("shop"), 1, 1, 1, FEATURES)


def row(
    code: FeatureCode, start: int = -10, end: int | None = None, value: object = None, ref: str = "x"
) -> Entitlement:
    """A row; hours from now."""
    ends = None if end is None else Instant(NOW + end * HOUR)
    return Entitlement(code, Source.PURCHASE, ref, Instant(NOW + start * HOUR), ends, value)  # type: ignore[arg-type]


@st.composite
def one_row(draw: st.DrawFn) -> Entitlement:
    """Any row that can be: it begins before it ends."""
    start = draw(st.integers(-8, 8))
    end = draw(st.one_of(st.none(), st.integers(start + 1, 9)))
    value = draw(st.one_of(st.integers(0, 3), st.just(UNLIMITED), st.none()))
    return row(draw(st.sampled_from(list(FEATURES))), start, end, value, draw(st.text("abc", max_size=3)))


rows = st.lists(one_row(), max_size=40).map(lambda found: tuple(sorted(found, key=lambda one: one.feature_code)))


@given(rows)
def test_no_answer_changes_from_now_on(found: tuple[Entitlement, ...]) -> None:
    """Allowed, value, source, end and reason are the same at every moment, and the order is kept."""
    kept = fold(found, FEATURES, NOW)
    places = iter(found)
    assert all(one in places for one in kept)
    for hour in range(10):
        for code in FEATURES:
            for at in (Instant(NOW + hour * HOUR), Instant(NOW + hour * HOUR - 1)):
                assert decide(kept, code, CATALOGUE, at) == decide(found, code, CATALOGUE, at)


def test_of_a_thousand_equal_purchases_one_stays() -> None:
    """The longest, and of equals the one that an answer named before."""
    found = [row(PLAIN, start=-n - 1, ref=f"cs_{n}") for n in range(1_000)]
    assert fold(found, FEATURES, NOW) == (found[0],)
    lifetime = [row(PLAIN, ref="first"), *[row(PLAIN, end=n, ref=f"cs_{n}") for n in range(1, 1_000)]]
    assert fold(lifetime, FEATURES, NOW) == (lifetime[0],)


def test_a_sum_keeps_what_it_is_made_of() -> None:
    """Only rows beside unlimited, and what ended earlier than another, can go."""
    parts = [row(SUM, value=1, ref=f"cs_{n}") for n in range(100)]
    assert fold(parts, FEATURES, NOW) == tuple(parts)
    unlimited = row(SUM, start=-20, value=UNLIMITED)
    assert fold([unlimited, *parts], FEATURES, NOW) == (unlimited,)
    ended = [row(SUM, end=-n, value=1, ref=f"cs_{n}") for n in range(1, 9)]
    assert fold(ended, FEATURES, NOW) == (ended[0],)


def test_a_limit_keeps_the_higher_and_the_longer() -> None:
    """A lower limit goes where a higher one covers all of its time."""
    high, long, low = row(MOST, end=5, value=9), row(MOST, end=9, value=5), row(MOST, end=4, value=3)
    assert fold([high, long, low], FEATURES, NOW) == (high, long)
