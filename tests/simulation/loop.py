"""An asyncio event loop without time, threads or I/O: where nothing is ready, its time jumps to the next timer.

Which process's next callback runs is drawn; within a process order is kept, as asyncio keeps it. The same draws
give the same run. Waiting for what nobody will bring is an error, and so is turning round without time going on.
"""

import asyncio
import heapq
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from common.clock import SECOND, Instant
from tests.simulation.processes import BEGAN, PROCESS, Handle, Process, State

T = TypeVar("T")

_MOST_AT_ONCE: Final = 100_000
_THREAD_SECONDS: Final = 0.03
_PATIENCE_SECONDS: Final = 60.0


class StuckError(AssertionError):
    """Nothing will ever happen again, or time does not go on."""


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it lies in memory."""

    numbers = count()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._number = next(_Task.numbers)
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


if TYPE_CHECKING:
    _Loop = asyncio.BaseEventLoop
else:  # at run time nothing of a real loop is there to be called by mistake
    _Loop = asyncio.AbstractEventLoop


class VirtualLoop(_Loop):
    """`run` one coroutine to its end in the process `world`; others are started by `start`."""

    def __init__(self, rng: Random) -> None:
        self.now = 0.0
        """Seconds of the world since it began."""
        self.steps = 0
        self.world = Process("world")
        self.complaints: list[dict[str, Any]] = []
        """What asyncio had to say of exceptions that nobody took."""
        self._failure: BaseException | None = None
        self._burying = False
        self._rng = rng
        self._runnable: list[Process] = []
        self._processes = [self.world]
        self._timers: list[tuple[float, int, Handle]] = []
        self._numbers = count()
        self._current = self.world
        self._closed = False
        _Task.numbers = count()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            task = self.start(self.world, main, "main")
            self._turn_until(task.done)
            return task.result()
        finally:
            events._set_running_loop(before)

    def start(self, process: Process, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `work` as part of a process."""
        if process not in self._processes:
            self._processes.append(process)
        task = _Task(work, loop=self, name=name, context=process.context.copy())
        process.tasks.append(task)
        return task

    def pause(self, process: Process) -> None:
        """Let nothing of it run."""
        if process.state is State.RUNNING:
            process.state = State.PAUSED

    def resume(self, process: Process) -> None:
        """Let it go on where it was."""
        if process.state is State.PAUSED:
            process.state = State.RUNNING
            self._list(process)

    def kill(self, process: Process) -> None:
        """Nothing of it ever runs again: no `finally`, no `except`."""
        process.state = State.DEAD

    def revive(self, process: Process) -> None:
        """Let a server that holds nothing in memory but its data run again."""
        process.state = State.RUNNING
        self._list(process)

    def fail(self, error: BaseException) -> None:
        """End the run with this error, wherever it was found."""
        if self._failure is None and not self._burying:
            self._failure = error

    def bury(self) -> None:
        """Take everything down, in the end: what was killed or still waits is cancelled until it is gone."""
        self._failure, self._burying = None, True
        events._set_running_loop(self)
        try:
            for process in self._processes:
                process.observer, process.fuse = None, None
                process.state = State.RUNNING
                self._list(process)
            while pending := [task for process in self._processes for task in process.tasks if not task.done()]:
                for task in pending:
                    task.cancel()
                self._turn_until(_over(self, pending), idle_is_error=False)
        finally:
            events._set_running_loop(None)
            self._closed = True

    def post(self, process: Process, at: float, callback: Callable[..., object], *arguments: Any) -> None:
        """Call something in a process at a time of the world."""
        handle = Handle(process, callback, arguments, process.context, process.monotonic(at))
        heapq.heappush(self._timers, (at, next(self._numbers), handle))

    def hand(self, process: Process, callback: Callable[..., object], *arguments: Any) -> None:
        """Call something in a process at its next turn."""
        process.ready.append(Handle(process, callback, arguments, process.context, 0.0))
        self._list(process)

    def wall(self, process: Process) -> Instant:
        """What a process's wall clock shows."""
        return Instant(BEGAN + round((self.now + process.wall_offset) * SECOND))

    def _turn_until(self, done: Callable[[], bool], *, idle_is_error: bool = True) -> None:
        at_once = 0
        while not done():
            if self._runnable:
                self._turn()
                at_once += 1
                if at_once > _MOST_AT_ONCE:
                    raise StuckError(f"time stands still at {self.now:.6f}, {self._current} goes round and round")
            elif self._timers:
                self._go_on()
                at_once = 0
            elif idle_is_error:
                raise StuckError(f"nothing will ever happen again after {self.now:.6f}")
            else:
                return

    def _turn(self) -> None:
        runnable = self._runnable
        at = int(self._rng.random() * len(runnable)) if len(runnable) > 1 else 0
        process = runnable[at]
        if process.state is not State.RUNNING or not process.ready:
            process.listed = False
            runnable[at] = runnable[-1]
            runnable.pop()
            return
        handle = process.ready.popleft()
        if handle.is_cancelled:
            return
        self.steps += 1
        self._current = process
        handle.context.run(handle.callback, *handle.args)
        if process.observer is not None:
            process.observer()
        if self._failure is not None:
            raise self._failure
        if process.fuse is not None:
            process.fuse -= 1
            if process.fuse <= 0:
                process.fuse = None
                process.blow()

    def _go_on(self) -> None:
        timers = self._timers
        self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            handle = heapq.heappop(timers)[2]
            if not handle.is_cancelled:
                handle.process.ready.append(handle)
                self._list(handle.process)

    def _list(self, process: Process) -> None:
        if not process.listed and process.state is State.RUNNING and process.ready:
            process.listed = True
            self._runnable.append(process)

    # What asyncio asks of a loop.

    def time(self) -> float:
        """The running process's monotonic clock."""
        return self._current.monotonic(self.now)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """After what is ready already."""
        chosen = copy_context() if context is None else context
        process: Process = chosen.get(PROCESS) or self.world
        handle = Handle(process, callback, args, chosen, 0.0)
        process.ready.append(handle)
        self._list(process)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """After `delay` seconds by the process's clock."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """At a monotonic time of the process."""
        chosen = copy_context() if context is None else context
        process: Process = chosen.get(PROCESS) or self.world
        handle = Handle(process, callback, args, chosen, when)
        heapq.heappush(self._timers, (process.world_time(when), next(self._numbers), handle))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        """A task of the running process."""
        task = _Task(coro, loop=self, name=None if name is None else str(name), context=context)
        self._current.tasks.append(task)
        if len(self._current.tasks) > 500:
            self._current.tasks = [kept for kept in self._current.tasks if not kept.done()]
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: None, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Instead of a thread: called once, some milliseconds later."""
        future: asyncio.Future[T] = self.create_future()

        def finish() -> None:
            if not future.cancelled():
                try:
                    future.set_result(func(*args))
                except Exception as error:
                    future.set_exception(error)

        self.call_later(self._rng.random() * _THREAD_SECONDS, finish)
        return future

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> NoReturn:
        """There are no threads."""
        raise AssertionError("a simulation has no threads")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Remember it."""
        if self._current.state is State.RUNNING and not self._closed:
            self.complaints.append(context)

    def get_debug(self) -> bool:
        """Never: it would cost time."""
        return False

    def is_running(self) -> bool:
        """Whoever asks runs in it."""
        return True

    def is_closed(self) -> bool:
        """Whether it was buried."""
        return self._closed


def _over(loop: VirtualLoop, tasks: list[asyncio.Task[Any]]) -> Callable[[], bool]:
    until = loop.now + _PATIENCE_SECONDS
    return lambda: loop.now > until or all(task.done() for task in tasks)
