"""Where tests put what they throw away: into memory where there is enough of it.

A database for each test is some hundred files, which a disk takes ten times as long to make. `TMPDIR` says otherwise.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 4 * 1024**3
"""Bytes: many times what the servers of a few workers take."""


def use_memory() -> None:
    """From now on temporary files of this process and its children are kept in memory."""
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ROOM:
        return
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None


def is_memory() -> bool:
    """Whether they are."""
    return Path(tempfile.gettempdir()).is_relative_to(_MEMORY)
