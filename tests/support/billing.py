"""`billing` as a process of its own: real signals, real ends."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.stripe_standin import KEY, SECRET

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 60

Process = subprocess.Popen[str]


@asynccontextmanager
async def billing(database_url: str, stripe_url: str, *arguments: str) -> AsyncIterator[Process]:
    """The command under way; killed when left, if it still runs."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": stripe_url,
        "STRIPE_MAX_RPS": "100",
    }
    # Not asyncio's: a test's loop is busy being Stripe, and its child watcher must not reap what a test kills.
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", "from writer.cli import main; main()", *arguments], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)


async def said(process: Process) -> tuple[int, str, str]:
    """Its exit status and what it printed."""
    out, err = await asyncio.to_thread(process.communicate, None, LONGEST_S)
    return process.returncode, out, err
