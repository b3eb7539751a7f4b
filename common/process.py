"""A server's process: settings read, logs set up, run until it is told to end. For writer and sidecar alike."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

import uvloop

from common import lean, tracing
from common.logs import LogFormat, LogLevel, configure
from common.settings import SettingsError

_log = logging.getLogger(__name__)

lean.leave_out()  # now: what this module is imported for is imported after it


class Settings(Protocol):
    """What every server's settings have."""

    @property
    def log_level(self) -> LogLevel:
        """What is logged."""
        ...

    @property
    def log_format(self) -> LogFormat:
        """What a line looks like."""
        ...

    @property
    def tracing(self) -> bool:
        """Whether spans are sent."""
        ...


S = TypeVar("S", bound=Settings)


def serve(
    name: str, read: Callable[[Mapping[str, str]], S], running: Callable[[S], AbstractAsyncContextManager[object]]
) -> int:
    """Serve until SIGTERM or SIGINT.

    The exit status: 0 after a signal, 1 where it could not listen, 2 for bad settings, all of which are told.
    """
    try:
        settings = read(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure(settings.log_level, settings.log_format)
    _forget_the_modules()
    try:
        with tracing.opened(f"billing-{name}", enabled=settings.tracing):
            uvloop.run(_until_signalled(name, running(settings)))
    except OSError as error:
        _log.error("cannot start name=%s error=%s", name, error)
        return 1
    return 0


def _forget_the_modules() -> None:
    """Keep what was imported out of every garbage collection to come: walking through it stops the process for long."""
    gc.collect()
    gc.freeze()


async def _until_signalled(name: str, server: AbstractAsyncContextManager[object]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with server:
        await ended.wait()
        _log.info("%s ending", name)
