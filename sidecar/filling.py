"""Filling a copy from documents that come in batches, while this process answers from the copy before."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from common.document import DocumentError
from sidecar.packing import Packer
from sidecar.replica import Copy
from sidecar.turns import Turns

_BETWEEN_LOOKS: Final = 32  # documents; a look at the clock costs little, but not nothing


async def fill(
    copy: Copy,
    batches: AsyncIterator[Iterable[tuple[bytes | None, bytes]]],
    refused: Callable[[DocumentError], None],
) -> int:
    """Take every document; how many there were.

    `batches`: documents as bytes, each with the user under whose name it stands, if it stands under one. `refused` is
    told of each that is none, and may raise.
    """
    packer = Packer(copy.project, copy.records.grants)
    count = 0
    turns = Turns()
    async for batch in batches:
        for user, data in batch:
            count += 1
            try:
                copy.take(packer.pack(data) if user is None else packer.pack_of(user, data))
            except DocumentError as error:
                refused(error)
            if count % _BETWEEN_LOOKS == 0 and turns.over():
                await turns.give()
    return count
