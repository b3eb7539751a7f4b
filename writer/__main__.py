"""`python -m writer`: read the settings, run until SIGTERM or SIGINT, end gracefully."""

import asyncio
import logging
import os
import signal
import sys

import uvloop

from common.logs import configure
from common.settings import SettingsError
from writer import settings as settings_module
from writer.app import running
from writer.settings import Settings

_log = logging.getLogger("writer")


def main() -> int:
    """The exit status: 0 after a signal, 1 where it could not listen, 2 for bad settings."""
    try:
        settings = settings_module.read(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure(settings.log_level)
    try:
        uvloop.run(_run(settings))
    except OSError as error:
        _log.error("cannot start error=%s", error)
        return 1
    return 0


async def _run(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with running(settings):
        await ended.wait()
        _log.info("writer ending")


if __name__ == "__main__":
    sys.exit(main())
