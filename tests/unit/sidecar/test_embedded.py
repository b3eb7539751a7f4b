"""A check in the process, made natively, is the one that Python makes."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.document import Entitlement
from common.problems import Problem
from sidecar import Replica, embedded
from sidecar.typed import Check
from tests.support.history import START, History, feature, grant
from tests.support.still import StillClock, moments, project_of, rows, users

NOBODY_IS_ASKED: Any = None


def replica_over(held: dict[str, list[Entitlement]], now: int, *, complete: bool = True) -> Replica:
    """One that holds these."""
    clock = StillClock(now)
    return Replica(project_of(History(), held, clock, complete=complete), NOBODY_IS_ASKED, clock)


def checks(replica: Replica, asked: list[tuple[str, str]], *, natively: bool) -> list[Check]:
    """What is answered to each, asked twice: what was learned makes no difference."""
    with pytest.MonkeyPatch.context() as patch:
        if not natively:
            patch.setattr(embedded, "_native", None)
        found = [replica.check(user, code) for user, code in asked for _ in range(2)]
    assert found[::2] == found[1::2]
    return found


@given(st.dictionaries(users, st.lists(rows, min_size=1, max_size=3)), users, moments, st.booleans())
def test_natively_checked_as_in_python(
    held: dict[str, list[Entitlement]], stranger: str, now: int, complete: bool
) -> None:
    """Whoever is asked about, whatever he holds and whenever: each member is the same without the native part."""
    asked = [(user, code) for user in (*held, stranger) for code in ("pro", "free", "seats", "no-such")]
    native, plain = (
        checks(replica_over(held, now, complete=complete), asked, natively=natively) for natively in (True, False)
    )
    assert native == plain


@pytest.mark.parametrize(
    ("user", "code"), [("", "pro"), ("x" * 256, "pro"), ("a\0", "pro"), ("\ud800", "pro"), ("ann", ""), ("ann", "a b")]
)
def test_what_cannot_be_asked_is_refused(user: str, code: str) -> None:
    """Who is known, and what was asked about before, makes no difference."""
    replica = replica_over({"ann": [grant()]}, START)
    assert replica.check("ann", "pro")
    with pytest.raises(Problem):
        replica.check(user, code)


def test_an_edit_of_the_catalogue_ends_what_was_learned_before_it() -> None:
    """A default that is taken away is allowed no longer, though the user's record is the same."""
    history, clock = History(), StillClock(START)
    project = project_of(history, {"ann": [grant()]}, clock)
    replica = Replica(project, NOBODY_IS_ASKED, clock)
    assert replica.check("ann", "free")
    project.apply(history.edit(*(feature(code) for code in ("pro", "free"))))
    assert not replica.check("ann", "free")
    assert replica.check("ann", "pro")


def test_the_common_question_is_answered_natively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a feature was asked about, another user who holds the same is not looked up in Python."""
    replica = replica_over({"ann": [grant()], "bob": [grant()], "cyd": [grant("gone")], "dan": [grant("gone")]}, START)
    assert (bool(replica.check("ann", "pro")), bool(replica.check("cyd", "pro"))) == (True, False)
    monkeypatch.setattr(replica, "_remember", lambda *_: cast("Any", pytest.fail("it was looked up in Python")))
    assert (bool(replica.check("bob", "pro")), bool(replica.check("dan", "pro"))) == (True, False)
