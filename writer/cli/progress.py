"""How far long work is, on stderr: a bar on a terminal, a line now and then elsewhere, such as in a job's log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINE_SECONDS: Final = 10.0
"""Between two lines in a log: hours of work stay readable."""

Show = Callable[[str, int | None, int | None], None]
"""What is being done, and how much of how much; None: nobody knows."""


@contextmanager
def progress(*, quiet: bool) -> Iterator[Show]:
    """Shows the work of the block; `quiet` shows nothing."""
    console = Console(stderr=True, quiet=quiet)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("begins", total=None)
        yield lambda words, done, total: bar.update(task, description=words, completed=done, total=total)


def _lines(console: Console) -> Show:
    told_at: float | None = None

    def show(words: str, done: int | None, total: int | None) -> None:
        nonlocal told_at
        now = time.monotonic()
        if told_at is not None and now - told_at < LINE_SECONDS:
            return
        told_at = now
        of = "" if done is None or total is None else f"  {done} of {total}"
        console.print(f"{words}{of}", soft_wrap=True, markup=False, highlight=False)

    return show
