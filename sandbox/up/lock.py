"""One stack at a time per directory: a lock that the kernel gives back however its holder ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another process holds the lock; `pid` is what it left there."""

    def __init__(self, pid: str) -> None:
        super().__init__(f"the stack is already running (pid {pid}); use that one, or end it with Ctrl-C or kill {pid}")


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock while inside; AlreadyRunningError where somebody else does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunningError(file.read().strip() or "unknown") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
