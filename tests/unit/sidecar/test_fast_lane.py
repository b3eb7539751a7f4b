"""The hot request answered natively is answered as Python does it, or left to Python."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import SECOND
from common.document import Entitlement
from sidecar import _native, fast_lane
from sidecar.check_counts import CheckCounts
from sidecar.fast_lane import FastLane
from sidecar.replica import Proof
from tests.support.history import PROJECT, START, History, feature, grant
from tests.support.still import BEYOND, StillClock, moments, project_of, rows, users


def lane_over(held: dict[str, list[Entitlement]], now: int, *, complete: bool) -> FastLane:
    """A lane of one project that holds these."""
    clock = StillClock(now)
    project = project_of(History(), held, clock, complete=complete)
    return FastLane({PROJECT: project}, CheckCounts(), clock)


def asked(user: str, code: str) -> bytes:
    """The hot request."""
    return f"GET /api/v1/check?user_id={user}&feature={code} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def answers(lane: FastLane, requests: list[bytes], *, natively: bool) -> list[bytes | None]:
    """What the lane answers to each, asked three times: what was learned makes no difference."""
    with pytest.MonkeyPatch.context() as patch:
        if not natively:
            patch.setattr(fast_lane, "_native", None)
        found = [lane.answer(request) for request in requests for _ in range(3)]
    assert all(found[at] == found[at + 1] == found[at + 2] for at in range(0, len(found), 3))
    return found


@given(st.dictionaries(users, st.lists(rows, min_size=1, max_size=3)), users, moments, st.booleans())
def test_natively_answered_as_in_python(
    held: dict[str, list[Entitlement]], stranger: str, now: int, complete: bool
) -> None:
    """Whoever is asked about, whatever he holds and whenever: with the native part and without, the same bytes."""
    requests = [asked(user, code) for user in (*held, stranger) for code in ("pro", "free", "seats", "no-such")]
    native, plain = (
        answers(lane_over(held, now, complete=complete), requests, natively=natively) for natively in (True, False)
    )
    assert native == plain


@pytest.mark.parametrize(
    "instant",
    [0, 1, SECOND - 1, 86_400 * SECOND - 1, 951_782_400 * SECOND, 1_709_164_800 * SECOND + 5, 4_107_542_400 * SECOND,
     BEYOND - 1],
)  # fmt: skip
def test_an_end_is_written_alike(instant: int) -> None:
    """The first second, leap days, a century without one and the last year are written as `format_time` does."""
    held = {"ann": [grant(valid_from=-5 if instant == 0 else 0, valid_to=instant)]}
    now = instant - 1 if instant else -1
    request = [asked("ann", "pro")]
    native, plain = (answers(lane_over(held, now, complete=True), request, natively=one) for one in (True, False))
    assert native == plain
    assert b'"allowed":true' in (native[0] or b"")


def test_the_common_question_is_answered_natively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a feature was asked about, a user who holds it, one who does not, and a stranger are answered natively."""
    held = {"ann": [grant()], "bob": [grant("gone")], "cyd": [grant()], "dan": [grant("gone")]}
    lane = lane_over(held, START, complete=True)
    for user in ("ann", "bob", "stranger"):
        assert lane.answer(asked(user, "pro")) is not None
    monkeypatch.setattr(lane, "_answer", lambda *_: pytest.fail("it went the longer way"))
    for user, allowed in (("cyd", True), ("dan", False), ("stronger", False)):
        assert (b'"allowed":true' in (lane.answer(asked(user, "pro")) or b"")) is allowed


@pytest.mark.parametrize(
    "block", ["Host: x\r\nConnection: close\r\n\r\n", "Host: x\r\nExpect: 100-continue\r\n\r\n", "Host: x\r\n", ""]
)
def test_only_plain_headers_are_answered(block: str) -> None:
    """However well a question is known: headers that say more, or have not ended, are left to the ordinary lane."""
    lane = lane_over({"ann": [grant()]}, START, complete=True)
    known = asked("ann", "pro")
    assert None not in (lane.answer(known), lane.answer(known))
    assert lane.answer(known.removesuffix(b"Host: x\r\n\r\n") + block.encode()) is None


def test_an_edit_of_the_catalogue_ends_what_was_made_before_it() -> None:
    """A form of another catalogue is not used, also where the copy was seen anew for another question's sake."""
    history, clock = History(), StillClock(START)
    project = project_of(history, {}, clock)
    lane = FastLane({PROJECT: project}, CheckCounts(), clock)
    for code in ("pro", "free", "pro", "free"):
        lane.answer(asked("ann", code))
    project.apply(history.edit(*(feature(code) for code in ("pro", "free"))))
    assert project.replica.copy is not None
    project.replica.copy.proof = Proof.MATCHED
    lane.answer(asked("ann", "pro"))
    assert b'"allowed":false' in (lane.answer(asked("ann", "free")) or b"")


odd_bytes = st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(
    [b"\xff", b"\xfe", b"ann", b"[[0]", b"[[", b"],", b'"r"', b",", b"0", b"null", b"9" * 18, b"9" * 17, b"-1", b"]"]
), max_size=14).map(b"".join))  # fmt: skip


@given(st.lists(odd_bytes, max_size=3), odd_bytes, st.integers(-(2**63), 2**63 - 1), odd_bytes)
def test_odd_bytes_harm_nobody(pages: list[bytes], told: bytes, now: int, text: bytes) -> None:
    """Pages, requests and forms of any bytes are answered out of those bytes, or not at all."""
    form: Any = (b"<", b"|", b">", b".")
    forms: dict[bytes | None, Any] = {None: form, b"[[0": form, text: form, b"[": None}
    for name in (b"ann", b"a", text):
        request = b"GET /api/v1/check?user_id=" + name + b"&feature=" + told + b" HTTP/1.1\r\n" + text
        heads: list[bytes | None] = [b"HEAD" if length % 2 else None for length in range(90)]
        found = _native.answer(request, {text}, {told: ([pages, b"middle"], forms)}, heads, now)
        assert found is None or (found[0] is form and found[1].startswith(b"HEAD<" + name + b"|"))
        for user in (name, b""):
            run = _native.held(pages, user)
            assert run is None or (user and any(run[0] in page for page in pages))
