"""Subscribers by the thousand: whole subscription events, made from one that Stripe's stand-in sent.

Making each at the stand-in would measure the stand-in. Ids, users and moments are the subscriber's own; every version
changes what the subscriber holds, so none can be passed over.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from benchmarks.ledger import DIGITS, PATIENCE_SECONDS, POLL_SECONDS
from sandbox.stack import RunningApp, Stack

VERSIONS: Final = 5
STEP: Final = 60
"""Seconds between a subscription's events: far enough that Stripe's clock leaves no order open."""
AGE: Final = 86_400


@dataclass(frozen=True, slots=True)
class Sent:
    """One event as it goes over the wire."""

    id: str
    object_id: str
    user: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Pattern:
    """An event of the stand-in, as text to be filled in."""

    envelope: dict[str, Any]
    subscription: bytes

    @classmethod
    async def drawn(cls, stack: Stack, app: RunningApp) -> "Pattern":
        """Subscribe one customer at the stand-in, and take its event for a pattern."""
        customer = await stack.stripe.post("customers")
        made = await stack.stripe.post_form(
            "subscriptions",
            {
                "customer": customer["id"],
                "items[0][price]": app.prices.subscription,
                "metadata[user_id]": "pattern-user",
                "metadata[project_id]": app.app.project,
            },
        )
        found = await stack.stripe.get("events", type="customer.subscription.created", limit="1")
        text = orjson.dumps(await stack.stripe.get(f"subscriptions/{made['id']}"))
        await _told_all(stack)
        names = {made["id"]: b"SUB", customer["id"]: b"CUS", made["items"]["data"][0]["id"]: b"ITEM"}
        for name, mark in names.items():
            text = text.replace(name.encode(), b"<" + mark + b">")
        return cls(found["data"][0], text.replace(b"pattern-user", b"<USER>"))

    def subscribers(self, run: str, count: int, versions: int = VERSIONS) -> Iterator[list[Sent]]:
        """`count` subscribers, each with its events, oldest first. `run` keeps those of several runs apart."""
        began = self.envelope["created"] - AGE
        for number in range(count):
            name = f"{run}{number:0{DIGITS}d}".encode()
            text = self.subscription
            for mark in (b"SUB", b"CUS", b"ITEM"):
                text = text.replace(b"<" + mark + b">", mark.lower() + b"_" + name)
            subscription = orjson.loads(text.replace(b"<USER>", b"user-" + name).replace(b"item_", b"si_"))
            yield [self._event(subscription, version, began + STEP * version) for version in range(versions)]

    def _event(self, subscription: dict[str, Any], version: int, created: int) -> Sent:
        end = subscription["items"]["data"][0]["current_period_end"]
        leaves = version % 2 == 1
        state = subscription | {"cancel_at_period_end": leaves, "cancel_at": end if leaves else None}
        event = self.envelope | {
            "id": f"evt_{subscription['id']}_{version}",
            "type": "customer.subscription.updated" if version else "customer.subscription.created",
            "created": created,
            "data": {"object": state},
        }
        user = subscription["metadata"]["user_id"]
        return Sent(event["id"], subscription["id"], user, version, orjson.dumps(event))


async def _told_all(stack: Stack) -> None:
    """Wait until every webhook is delivered: one that comes later would be counted as the benchmark's own."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await _untold(stack):  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(POLL_SECONDS)


async def _untold(stack: Stack) -> bool:
    listed = await stack.stripe.get("events", limit="100")
    return any(event["pending_webhooks"] for event in listed["data"])


def in_order(subscribers: Iterator[list[Sent]]) -> list[Sent]:
    """All first events, then all second ones, and so on."""
    return [event for version in zip(*subscribers, strict=True) for event in version]


def in_disorder(events: list[Sent], duplicated: float, seed: int) -> list[Sent]:
    """Shuffled, a part of them twice."""
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    mixed = events + dice.sample(events, int(len(events) * duplicated))
    dice.shuffle(mixed)
    return mixed
