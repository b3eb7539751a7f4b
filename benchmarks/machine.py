"""What a figure was measured on: it says little without."""

import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.tools import NGINX, WRK

_FLUSHES: Final = 100
_PAGE: Final = 8192


def describe() -> str:
    """Processor, cores, Python and the drivers, in one line."""
    cores = len(os.sched_getaffinity(0))
    drivers = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "asyncpg", "sqlalchemy", "redis", "uvloop"))
    programs = ", ".join(_programs())
    return (
        f"{_processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}, {drivers}, {programs}"
    )


def _programs() -> Iterator[str]:
    for tool, option in ((NGINX, "-v"), (WRK, "--version")):
        found = tool.find()
        if found is None:
            yield f"no {tool.name}"
            continue
        told = subprocess.run([found, option], capture_output=True, text=True, check=False)
        words = (told.stderr + told.stdout).split()  # "nginx version: nginx/1.22.1", "wrk 4.1.0 [epoll] …"
        number = next((word for word in words if any(letter.isdigit() for letter in word)), "")
        yield f"{tool.name} {number.removeprefix(f'{tool.name}/').removeprefix('debian/')}".strip()


def busy() -> float:
    """How many processes wanted a core during the last minute: what else the machine was doing."""
    return os.getloadavg()[0]


def flush_ms(folder: Path) -> float:
    """Milliseconds that a page takes to the disk under `folder`, the median: every commit waits for it."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_FLUSHES):
            began = time.perf_counter()
            os.write(file.fileno(), bytes(_PAGE))
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
