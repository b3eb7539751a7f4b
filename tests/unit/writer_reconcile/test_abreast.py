"""What a run works on a few at a time."""

import asyncio

import pytest

from writer.reconcile.abreast import AT_ONCE, Abreast


async def no_pause(_: float) -> None:
    """Nobody is let first."""


async def test_never_more_than_a_few_are_in_work_and_all_are_answered_in_order() -> None:
    """However long each takes, the answers stand in the order of what was asked."""
    busy: set[int] = set()
    most = 0

    async def work(one: int) -> int:
        nonlocal most
        busy.add(one)
        most = max(most, len(busy))
        for _ in range(one % 5):
            await asyncio.sleep(0)
        busy.discard(one)
        return one * 2

    assert await Abreast(no_pause).each(range(40), work) == [one * 2 for one in range(40)]
    assert most == AT_ONCE


async def test_after_a_failure_nothing_is_begun_and_what_was_begun_is_finished() -> None:
    """A transaction that is under way is not torn, and the first failure is told."""
    begun: list[int] = []
    finished: list[int] = []

    async def work(one: int) -> None:
        begun.append(one)
        if one == 1:
            raise ConnectionError("one")
        await asyncio.sleep(0.01)
        finished.append(one)

    with pytest.raises(ConnectionError, match="one"):
        await Abreast(no_pause).each(range(20), work)
    assert (begun, finished) == ([0, 1], [0])


async def test_each_waits_for_its_turn_behind_those_who_go_first() -> None:
    """While payers are let first, nothing more is begun; then it goes on."""
    gate = asyncio.Event()
    begun: list[int] = []

    async def behind(_: float) -> None:
        if begun:
            await gate.wait()

    async def work(one: int) -> None:
        begun.append(one)

    going = asyncio.create_task(Abreast(behind).each(range(AT_ONCE * 3), work))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(begun) <= AT_ONCE
    gate.set()
    await going
    assert sorted(begun) == list(range(AT_ONCE * 3))


async def test_nothing_to_do_is_done() -> None:
    """An empty page has no answers."""
    assert await Abreast(no_pause).each([], lambda _: asyncio.sleep(0)) == []
