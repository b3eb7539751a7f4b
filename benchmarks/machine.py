"""What a figure was measured on: it says little without."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def describe() -> str:
    """Processor, cores, Python and the drivers, in one line."""
    cores = len(os.sched_getaffinity(0))
    drivers = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "asyncpg", "sqlalchemy", "redis"))
    return f"{_processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}, {drivers}"


def busy() -> float:
    """How many processes wanted a core during the last minute: what else the machine was doing."""
    return os.getloadavg()[0]


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
