"""What every chapter of the demo has at hand."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sandbox.clients import Json
from sandbox.demo.report import Report
from sandbox.propagation import Change
from sandbox.stack import RunningApp, Stack

BACK: Final = "http://localhost/paid"
"""Where Stripe sends the payer back to; nobody listens there, the demo goes on by itself."""
POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class World:
    """The running stack, the two apps, and the report."""

    stack: Stack
    report: Report

    @property
    def notes(self) -> RunningApp:
        """The app whose users pay."""
        return self.stack.apps["notes"]

    @property
    def studio(self) -> RunningApp:
        """The other app."""
        return self.stack.apps["studio"]

    async def paid(self, user: str, price: str) -> Json:
        """A completed session of Notes: opened at the writer, paid at Stripe."""
        session = await self.notes.writer.checkout(user, price, BACK)
        return await self.stack.stripe.pay(session["session_id"])


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float) -> float | None:
    """Ask until it holds; after how many seconds it did, None if it did not in time."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if await holds():
            return time.monotonic() - began
        await asyncio.sleep(POLL_S)
    return None


def took(change: Change) -> str:
    """`12 ms from webhook to changed answer`, where the writer named the webhook's arrival."""
    if change.milliseconds is None:
        return "not timed"
    return f"{change.milliseconds:.0f} ms from webhook to changed answer"
