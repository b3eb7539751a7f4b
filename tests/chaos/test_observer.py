"""The observer can fail: each thing that must not be is noticed, and what may be is not."""

import time
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from common import catalogue as catalogues
from common import document as documents
from tests.chaos.commits import Commits
from tests.chaos.observer import Observer, Told
from tests.chaos.plant import Beside, SidecarKind
from tests.support.history import PROJECT, History, grant

NOW = 1_000.0
SLACK = 1.0


@pytest.fixture
def commits() -> Commits:
    """The catalogue, ann's grant, its end, and bob's grant, committed ten seconds apart; the last one just now."""
    history = History()
    history.change("ann", grant())
    history.change("ann")
    history.change("bob", grant())
    bodies = [
        ("catalog", catalogues.encode(history.catalogue)),
        *(("user", documents.encode(change.document)) for change in history.changes[1:]),  # type: ignore[union-attr]
    ]
    commits = Commits(PROJECT)
    for revision, (op, body) in enumerate(bodies, 1):
        row = {"revision": revision, "op": op, "body": body.decode()}
        commits.saw(1, revision, [row], None, NOW - 10 * (len(bodies) - revision))
    return commits


def answered(commits: Commits, **different: Any) -> Observer:
    """An observer who was given ann's true answer at the head, but for what is `different`."""
    answer = {
        "allowed": False, "user_id": "ann", "project_id": PROJECT, "feature": "pro", "value": None, "source": None,
        "valid_to": None, "reason": "not_granted", "epoch": 1, "revision": 4, "age_ms": 100, "stale": False,
    }  # fmt: skip
    answer |= different
    observer = Observer([], {PROJECT: commits}, lambda _: (PROJECT, "ann", "pro"), Random(1), SLACK)
    wall = time.time()
    observer._waiting.append((Told("one", 1, NOW, NOW, (wall, wall), answer), "nothing", 0.0))
    observer.finish()
    return observer


def test_a_true_answer_is_let_pass(commits: Commits) -> None:
    """At the head, and at an older revision that says how old it is."""
    assert not answered(commits).seen.violations
    granted = {"allowed": True, "source": "subscription", "reason": "granted"}
    old = answered(commits, revision=2, age_ms=10_500, stale=True, **granted)
    assert not old.seen.violations
    assert (old.seen.longest, old.seen.longest_fresh) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("different", "kind"),
    [
        ({"allowed": True, "source": "subscription", "reason": "granted"}, "untrue"),
        ({"user_id": "bob"}, "untrue"),
        ({"user_id": "bob", "allowed": True, "source": "subscription", "reason": "granted", "revision": 3}, "untrue"),
        ({"value": 5}, "untrue"),
        ({"revision": 9}, "unknown revision"),
        ({"epoch": 2}, "unknown revision"),
        ({"revision": 3, "age_ms": 6_000}, "fresh though old"),
        ({"revision": 2, "allowed": True, "source": "subscription", "reason": "granted"}, "too young"),
    ],
    ids=["a wrong grant", "a wrong denial", "a grant before its time", "another value", "a revision that is none",
         "an epoch that is none", "fresh though it says to be old", "an age that hides a change"],
)  # fmt: skip
def test_a_wrong_answer_is_noticed(commits: Commits, different: dict[str, Any], kind: str) -> None:
    """Each is a violation of its kind."""
    assert set(answered(commits, **different).seen.kinds) == {kind}


def test_a_denial_for_want_of_a_proven_copy_is_counted(commits: Commits) -> None:
    """It says that it is stale; called fresh it would be untrue."""
    observer = answered(commits, user_id="bob", stale=True)
    assert observer.seen.unsure == 1
    assert not observer.seen.violations


def test_gaps_and_steps_back_in_what_is_committed_are_noticed(commits: Commits) -> None:
    """A revision that is missing, and an epoch that goes back."""
    body = documents.encode(History().change("ann", grant()).document).decode()
    commits.saw(1, 6, [{"revision": 6, "op": "user", "body": body}], None, NOW)
    commits.saw(0, 1, [], None, NOW)
    assert [fault.split(" ", 1)[1] for fault in commits.faults] == [
        "1.4 was followed by 1.6",
        "epoch 1 was followed by 0",
    ]


def test_after_a_restore_the_older_lineage_goes_on(commits: Commits) -> None:
    """The new epoch begins with what its parent held there; what came later in the old one is not known in it."""
    commits.saw(7, 2, [], 1, NOW)
    granted = {"allowed": True, "source": "subscription", "reason": "granted"}
    assert not answered(commits, epoch=7, revision=2, **granted).seen.violations
    assert set(answered(commits, epoch=7, revision=2).seen.kinds) == {"untrue"}
    assert set(answered(commits, epoch=7, revision=3).seen.kinds) == {"unknown revision"}
    assert answered(commits, age_ms=4_000).seen.longest_fresh == 0.0


@pytest.mark.parametrize(("running", "kinds"), [(True, {"unanswered"}), (False, set())], ids=["alive", "dead"])
async def test_silence_is_noticed_unless_the_process_is_dead(commits: Commits, running: bool, kinds: set[str]) -> None:
    """Nobody listens any more where there was an answer before."""
    observer = Observer([], {PROJECT: commits}, lambda _: (PROJECT, "ann", "pro"), Random(1), SLACK)
    app = web.Application()
    app.router.add_get("/api/v1/check", _check)
    service: Any = SimpleNamespace(running=True)
    async with ClientSession() as http:
        async with TestServer(app) as server:
            beside = Beside(SidecarKind("one"), service, str(server.make_url("")), "", starts=1)
            await observer._ask(http, beside)
        service.running = running
        await observer._ask(http, beside)
    assert set(observer.seen.kinds) == kinds
    assert observer.seen.excused == (not running)


async def _check(_: web.Request) -> web.Response:
    return web.json_response({"project_id": PROJECT})
