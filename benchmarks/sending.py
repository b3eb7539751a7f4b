"""Stripe's part played by force: signed webhooks over HTTP, many at once or at a pace."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import aiohttp

from sandbox.stripe.delivery import signature

CONNECTIONS: Final = 32
"""About what Stripe opens to one endpoint in a burst."""


class RefusedError(Exception):
    """A webhook was answered with an error: no figure of such a run means anything."""


@dataclass(slots=True)
class Sender:
    """Sends to one writer; `seconds` tells how long each took to be acknowledged."""

    url: str
    secret: str
    session: aiohttp.ClientSession
    seconds: list[float] = field(default_factory=list)

    async def send(self, body: bytes) -> float:
        """Send one event; when it left (Unix seconds)."""
        headers = {
            "Content-Type": "application/json",
            "Stripe-Signature": signature(body, (self.secret,), int(time.time())),
        }
        left, began = time.time(), time.perf_counter()
        async with self.session.post(f"{self.url}/api/v1/webhooks/stripe", data=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status != HTTPStatus.OK:
                raise RefusedError(f"a webhook was answered {answer.status}: {text}")
        self.seconds.append(time.perf_counter() - began)
        return left

    async def flood(self, bodies: Iterable[bytes]) -> None:
        """Send all, as fast as the writer acknowledges them on `CONNECTIONS` connections."""
        waiting = iter(bodies)

        async def drain(source: Iterator[bytes]) -> None:
            for body in source:
                await self.send(body)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(drain(waiting))

    async def pace(self, bodies: Iterable[bytes], per_second: float) -> None:
        """Send one after the other at a steady pace, each at its moment, whether the last was answered or not."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for number, body in enumerate(bodies):
                await asyncio.sleep(began + number / per_second - loop.time())
                group.create_task(self.send(body))
