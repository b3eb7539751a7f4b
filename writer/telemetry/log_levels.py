"""Keeps this writer's log levels as operators ask for them."""

import logging
from typing import Final

from common.log_levels import LogLevels
from writer.operations.log_levels import AskedLevels
from writer.supervision import DATABASE_FAULTS, jittered

_log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 2.0


class FollowedLevels:
    """Run it in the background. While Postgres is away, the levels stay as they are."""

    def __init__(self, asked: AskedLevels) -> None:
        self._asked = asked
        self._levels = LogLevels()

    async def run(self) -> None:
        """Look now and then, until cancelled; then everything is as it was."""
        try:
            while True:
                await self.look()
                await self._asked.changed.wait(jittered(_EVERY_SECONDS))
        finally:
            self._levels.apply({})

    async def look(self) -> None:
        """Look once."""
        try:
            asked = {one.logger: one.level for one in await self._asked.all()}
        except DATABASE_FAULTS as error:
            _log.debug("log levels were not looked up error=%s", type(error).__name__)
            return
        if self._levels.apply(asked):
            named = " ".join(f"{name or 'all'}:{level.value}" for name, level in asked.items())
            _log.warning("log levels changed asked=%s", named or "none")
