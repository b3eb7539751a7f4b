"""Processes of a simulation: each has an event loop's queue and clocks of its own, and can be paused and killed."""

from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from common.clock import SECOND, Instant

if TYPE_CHECKING:
    import asyncio

BEGAN: Final = Instant(1_760_000_000 * SECOND)
"""What wall clocks that are right show when a simulation begins."""


class State(Enum):
    """What a process may do."""

    RUNNING = auto()
    PAUSED = auto()
    """As by SIGSTOP: its clocks go on, nothing of it runs, and what arrives waits."""
    DEAD = auto()


class Handle:
    """A callback that waits for its turn, in the process that it belongs to."""

    __slots__ = ("_when", "args", "callback", "context", "is_cancelled", "process")

    def __init__(
        self, process: "Process", callback: Callable[..., object], args: tuple[Any, ...], context: Context, when: float
    ) -> None:
        self.process = process
        self.callback = callback
        self.args = args
        self.context = context
        self.is_cancelled = False
        self._when = when

    def cancel(self) -> None:
        """Do not call it."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether it will not be called."""
        return self.is_cancelled

    def when(self) -> float:
        """The process's monotonic time at which it is due."""
        return self._when


class Process:
    """What runs, stops and dies together. `drift`: by how much its monotonic clock is too quick; it never jumps."""

    def __init__(self, name: str, *, drift: float = 0.0, booted: float = 0.0, wall_offset: float = 0.0) -> None:
        self.name = name
        self.state = State.RUNNING
        self.wall_offset = wall_offset
        """Seconds that its wall clock is ahead; may be set at any time."""
        self.ready: deque[Handle] = deque()
        self.listed = False
        """Whether the loop knows that it has something to run."""
        self.tasks: list[asyncio.Task[Any]] = []
        self.fuse: int | None = None
        """After how many more callbacks `blow` is called."""
        self.blow: Callable[[], None] = _nothing
        self.observer: Callable[[], None] | None = None
        """Called after each callback that ran."""
        self.notes: dict[str, Any] = {}
        """What a test keeps of it, for as long as it is there."""
        self.context = copy_context()
        self.context.run(PROCESS.set, self)
        self._rate = 1.0 + drift
        self._booted = booted

    def __repr__(self) -> str:
        return self.name

    def monotonic(self, time: float) -> float:
        """What its monotonic clock shows at a time of the world."""
        return self._booted + time * self._rate

    def world_time(self, monotonic: float) -> float:
        """The other way round."""
        return (monotonic - self._booted) / self._rate


PROCESS: Final[ContextVar[Process]] = ContextVar("PROCESS")
"""The process that the running code belongs to."""


def _nothing() -> None:
    """What happens to a process without a fuse."""
