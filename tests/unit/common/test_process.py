"""Serving until a signal."""

import subprocess
import sys

PROGRAM = """
import gc, os, signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from common.process import serve
from common.logs import LogFormat, LogLevel

@dataclass
class Settings:
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT
    tracing: bool = False

@asynccontextmanager
async def running(settings):
    print("frozen" if gc.get_freeze_count() > 1_000 else "collected", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    yield

raise SystemExit(serve("program", lambda _: Settings(), running))
"""


def test_what_was_imported_is_kept_out_of_garbage_collections() -> None:
    """A collection that walks through every module stops a server for tens of milliseconds."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("frozen\n")
