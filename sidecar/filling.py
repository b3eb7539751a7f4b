"""Filling a copy from documents that come in batches, before anybody answers from it."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, NamedTuple

from common.document import DocumentError
from sidecar.packing import Packer
from sidecar.replica import Copy
from sidecar.turns import Turns

AT_ONCE: Final = 512
"""Documents that are packed in one go, which takes less than a millisecond."""


class Batch(NamedTuple):
    """Documents, each with the user under whose name it stands, if it stands under one; None where there is none."""

    users: list[bytes] | list[None]
    found: list[bytes | None]


class Filling:
    """Fills one copy. `refused` is told of each document that is none, and may raise."""

    def __init__(self, copy: Copy, refused: Callable[[DocumentError], None]) -> None:
        self.count = 0
        """How many documents there were."""
        self._copy = copy
        self._refused = refused
        self._packer = Packer(copy.project, copy.records.grants)

    def take(self, batch: Batch) -> Iterator[None]:
        """Take a batch, piece by piece: it is all taken once the iterator has ended."""
        for start in range(0, len(batch.found), AT_ONCE):
            end = start + AT_ONCE
            yield from self._take(batch.users[start:end], batch.found[start:end])

    def _take(self, users: list[bytes] | list[None], found: list[bytes | None]) -> Iterator[None]:
        copy = self._copy
        taken = self._packer.take(users, found, copy.records.pages)
        copy.digest ^= taken.digest
        copy.horizon = max(copy.horizon, taken.horizon)
        self.count += taken.count + len(taken.left)
        yield
        for number in taken.left:
            self._take_one(users[number], found[number] or b"")
            yield

    def _take_one(self, user: bytes | None, data: bytes) -> None:
        """One that is not plain, or whose user is held already: a walk may meet somebody twice, changed meanwhile."""
        try:
            self._copy.take(self._packer.pack(data) if user is None else self._packer.pack_of(user, data))
        except DocumentError as error:
            self._refused(error)


async def fill(copy: Copy, batches: AsyncIterator[Batch], refused: Callable[[DocumentError], None]) -> int:
    """Take every document, while this process answers from the copy before; how many there were."""
    filling = Filling(copy, refused)
    turns = Turns()
    async for batch in batches:
        for _ in filling.take(batch):
            if turns.over():
                await turns.give()
    return filling.count
