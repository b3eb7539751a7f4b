"""Who is woken by which change."""

import asyncio

from common.identifiers import UserId
from sidecar.watchers import Watcher, Watchers
from tests.support.history import History, feature, grant

ANN, BOB = UserId("ann"), UserId("bob")


async def _woken(watcher: Watcher) -> bool:
    """Whether it was woken since the last time."""
    before = asyncio.get_running_loop().time()
    await watcher.wait(0.05)
    return asyncio.get_running_loop().time() - before < 0.04


async def test_a_change_wakes_those_who_watch_that_user() -> None:
    """All of the user's watchers, and nobody else."""
    watchers, history = Watchers(), History()
    with watchers.watching(ANN) as one, watchers.watching(ANN) as two, watchers.watching(BOB) as other:
        watchers.changed(history.change("ann", grant()))
        assert [await _woken(one), await _woken(two), await _woken(other)] == [True, True, False]
        assert not await _woken(one)


async def test_a_catalogue_wakes_everybody_a_few_at_a_time() -> None:
    """Requests get their turn in between; nobody is forgotten."""
    watchers, history = Watchers(), History()
    manager = [watchers.watching(UserId(f"user-{number}")) for number in range(50)]
    watching = [one.__enter__() for one in manager]
    watchers.changed(history.edit(feature("pro")))
    await asyncio.sleep(0)
    assert 0 < sum(one._woken.is_set() for one in watching) < 50
    assert all([await _woken(one) for one in watching])


async def test_many_changes_wake_once() -> None:
    """What happens before somebody looks is one waking."""
    watchers, history = Watchers(), History()
    with watchers.watching(ANN) as ann:
        for _ in range(10):
            watchers.changed(history.change("ann", grant()))
        watchers.everything_changed()
        assert await _woken(ann)
        assert not await _woken(ann)
        assert not watchers._due


async def test_what_happens_while_one_is_busy_is_not_missed() -> None:
    """A change between two waits ends the second at once."""
    watchers, history = Watchers(), History()
    with watchers.watching(ANN) as ann:
        watchers.changed(history.change("ann", grant()))
        assert await _woken(ann)
        watchers.changed(history.change("ann"))
        await asyncio.sleep(0.01)
        assert await _woken(ann)


async def test_who_left_costs_nothing_any_more() -> None:
    """Nothing is kept of a watcher, also where it left before its turn came."""
    watchers, history = Watchers(), History()
    with watchers.watching(ANN):
        watchers.changed(history.change("ann", grant()))
    await asyncio.sleep(0.01)
    assert (watchers._by_user, list(watchers._due)) == ({}, [])
