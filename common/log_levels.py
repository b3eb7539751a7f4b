"""The log level of a running process: as it was set at the start, and what was asked for since."""

import logging
import re
from collections.abc import Mapping
from typing import Final

from common.logs import LogLevel

LOGGER_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*){0,9}")
"""A logger, such as `writer.pipeline`; what stands below it in the tree follows."""

MOST_SECONDS: Final = 7 * 86_400
"""For how long a level may be asked for that ends by itself."""


class LogLevels:
    """The loggers of this process. `None` names all of them."""

    def __init__(self) -> None:
        self._before: dict[str | None, int] = {}

    def apply(self, asked: Mapping[str | None, LogLevel]) -> bool:
        """Let exactly these be asked for: what is no more returns to what it was. Whether that changed anything."""
        wanted = {name: int(logging.getLevelName(level.value)) for name, level in asked.items()}
        gone = self._before.keys() - wanted.keys()
        changed = bool(gone)
        for name in gone:
            logging.getLogger(name).setLevel(self._before.pop(name))
        for name, level in wanted.items():
            logger = logging.getLogger(name)
            self._before.setdefault(name, logger.level)
            changed = changed or logger.level != level
            logger.setLevel(level)
        return changed
