"""A few at a time, with pauses between: what a run repairs is soon done, and purchases pass meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

One = TypeVar("One")
Came = TypeVar("Came")

AT_ONCE: Final = 3
"""Objects in work: more would not be done sooner by the two cores that a small installation has."""

LONGEST_REST: Final = 0.1
"""Seconds. Who waited for Stripe used nothing up meanwhile."""

Pause = Callable[[float], Awaitable[None]]
"""Called before each object that follows another, with the seconds which that one took."""


async def rest(worked: float) -> None:
    """For as long as it worked: who does not see whether payers wait leaves them half of the machine."""
    await asyncio.sleep(min(worked, LONGEST_REST))


class Abreast:
    """Has several objects worked on at once; `pause` is where others go first."""

    def __init__(self, pause: Pause) -> None:
        self._pause = pause

    async def each(self, ones: Sequence[One], work: Callable[[One], Awaitable[Came]]) -> list[Came]:
        """What `work` came to for each, in their order; it must stand being done for several at once.

        After an error nothing more is begun. What was begun is finished, and the first error raised.
        """
        came: dict[int, Came] = {}
        waiting = iter(enumerate(ones))
        errors: list[Exception] = []
        clock = asyncio.get_running_loop().time

        async def lane() -> None:
            worked = 0.0
            for place, one in waiting:
                await self._pause(worked)
                if errors:
                    return
                began = clock()
                try:
                    came[place] = await work(one)
                except Exception as error:  # raised below, once the others are done
                    errors.append(error)
                    return
                worked = clock() - began

        await asyncio.gather(*(lane() for _ in range(min(AT_ONCE, len(ones)))))
        if errors:
            raise errors[0]
        return [came[place] for place in range(len(ones))]
