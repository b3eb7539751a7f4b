"""Who waits for changes of one user's answers: woken by user, and a few at a time where a change concerns everybody."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, assert_never

from common.identifiers import UserId
from common.wire import CatalogChanged, Change, UserChanged

_AT_ONCE: Final = 2
"""Woken before requests get their turn: each then judges all of a user's features, a fraction of a millisecond."""


class Watcher:
    """One who waits. What happens meanwhile is remembered as one: whoever is slow sees the newest, not each."""

    __slots__ = ("_due", "_woken", "user")

    def __init__(self, user: UserId) -> None:
        self.user = user
        self._woken = asyncio.Event()
        self._due = False

    async def wait(self, seconds: float) -> None:
        """Return when something may have changed since the last time, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    def wake(self) -> None:
        """Something may have changed."""
        self._due = False
        self._woken.set()

    def line_up(self) -> bool:
        """Whether it has to be woken and nobody has seen to that yet."""
        if self._due or self._woken.is_set():
            return False
        self._due = True
        return True


class Watchers:
    """All who watch users of one project. Where nobody does, a change costs a look at an empty dict."""

    __slots__ = ("_by_user", "_due")

    def __init__(self) -> None:
        self._by_user: dict[UserId, set[Watcher]] = {}
        self._due: deque[Watcher] = deque()

    @contextmanager
    def watching(self, user: UserId) -> Iterator[Watcher]:
        """Hear of the user's changes from now on. Read what holds only afterwards: nothing in between is missed."""
        watcher = Watcher(user)
        self._by_user.setdefault(user, set()).add(watcher)
        try:
            yield watcher
        finally:
            others = self._by_user[user]
            others.remove(watcher)
            if not others:
                del self._by_user[user]

    def changed(self, change: Change) -> None:
        """A change was applied."""
        if not self._by_user:
            return
        match change:
            case UserChanged(document):
                self._line_up(self._by_user.get(document.user_id, ()))
            case CatalogChanged():
                self.everything_changed()
            case _:
                assert_never(change)

    def everything_changed(self) -> None:
        """Another copy or another catalogue answers from now on."""
        for watchers in self._by_user.values():
            self._line_up(watchers)

    def _line_up(self, watchers: Iterable[Watcher]) -> None:
        resting = not self._due
        self._due.extend([watcher for watcher in watchers if watcher.line_up()])
        if resting and self._due:
            asyncio.get_running_loop().call_soon(self._wake_some)

    def _wake_some(self) -> None:
        for _ in range(min(_AT_ONCE, len(self._due))):
            self._due.popleft().wake()
        if self._due:
            asyncio.get_running_loop().call_soon(self._wake_some)
