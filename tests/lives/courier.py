"""The courier: carries the stand-in's events to the writers as badly as the plan asks for, each at least once.

An event is rendered in the version of the town's endpoint, which changes now and then, or in another, or thin.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import aiohttp
import orjson

from sandbox.stripe.delivery import signature, thin
from sandbox.stripe.events import shown
from sandbox.stripe.ledger import Ledger
from tests.lives.account import Json
from tests.lives.plan import Fault, Rates

SECRET: Final = "whsec_test"
VERSIONS: Final = ("2022-11-15", "2024-06-20", "2025-03-31.basil", "2026-10-28.endive")
AT_ONCE: Final = 12
_LATEST: Final = 3  # ticks
_FOREIGN: Final = 0.03
"""How many of the events that change no entitlement are sent along."""
_TURNS: Final = 0.2
OURS: Final = (
    "checkout.session.completed", "checkout.session.expired",
    "checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed",
    "customer.subscription.", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded",
    "invoice.payment_failed", "invoice.voided", "invoice.marked_uncollectible",
    "charge.refunded", "refund.", "charge.dispute.created", "charge.dispute.closed",
    "customer.created", "customer.updated", "customer.deleted", "product.", "price.",
)  # fmt: skip
"""Beginnings of the types that an endpoint asks Stripe for."""


@dataclass(slots=True)
class Parcel:
    """One delivery to be made, once the tick has come."""

    event: Json
    version: str | None
    """None: thin."""
    tick: int
    forged: bool = False


class Courier:
    """Everything on its way. `lost` is what only Stripe's event list still knows."""

    def __init__(
        self, ledger: Ledger, http: aiohttp.ClientSession, rates: Rates, rng: Random, version: str | None = None
    ) -> None:
        self.bag: list[Parcel] = []
        self.lost: list[Json] = []
        self.faults: Counter[Fault] = Counter()
        self.delivered = 0
        self.events = 0
        self.tick = 0
        self.version = version or rng.choice(VERSIONS)
        self._pinned = version is not None
        self._ledger = ledger
        self._http = http
        self._rates = rates
        self._rng = rng
        ledger.listeners.append(self._accept)

    def _accept(self, event: Json) -> None:
        if not event["type"].startswith(OURS) and self._rng.random() > _FOREIGN:
            return
        rates, rng = self._rates, self._rng
        self.events += 1
        if event["type"].startswith(OURS) and rng.random() < rates.dropped:
            self.faults[Fault.DROPPED] += 1
            self.lost.append(event)
            return
        self.bag.append(self._parcel(event))
        if rng.random() < rates.duplicated:
            self.faults[Fault.DUPLICATED] += 1
            self.bag.append(self._parcel(event))

    def _parcel(self, event: Json) -> Parcel:
        rates, rng = self._rates, self._rng
        version = rng.choice(VERSIONS) if rng.random() < rates.other_version else self.version
        # Of a deleted customer nothing can be fetched: only the whole event tells whose it was.
        is_thin = rng.random() < rates.thin and event["type"] != "customer.deleted"
        parcel = Parcel(event, None if is_thin else version, self.tick)
        if rng.random() < rates.delayed:
            self.faults[Fault.DELAYED] += 1
            parcel.tick += rng.randint(1, _LATEST)
        if rng.random() < rates.forged:
            self.faults[Fault.FORGED] += 1
            parcel.forged = True
        return parcel

    def turn_version(self) -> None:
        """Now and then somebody upgrades the endpoint, or sets it back."""
        if not self._pinned and self._rng.random() < _TURNS:
            self.version = self._rng.choice(VERSIONS)

    def insert(self, event: Json) -> None:
        """Carry an event that Stripe did not make, as it is."""
        self.bag.append(Parcel(event, VERSIONS[-1], self.tick))

    async def deliver(self, urls: Sequence[str], *, everything: bool = False) -> None:
        """Deliver what is due, in any order, some at once; what was not acknowledged stays for the next time."""
        due: list[Parcel] = []
        later: list[Parcel] = []
        for parcel in self.bag:
            (due if everything or parcel.tick <= self.tick else later).append(parcel)
        self.bag = later
        self._rng.shuffle(due)
        waiting = iter(due)

        async def carry() -> None:
            for parcel in waiting:
                if not await self._send(parcel, self._rng.choice(urls)):
                    self.bag.append(parcel)

        await asyncio.gather(*(carry() for _ in range(AT_ONCE)))

    async def _send(self, parcel: Parcel, url: str) -> bool:
        event = thin(parcel.event) if parcel.version is None else shown(self._ledger, parcel.event, parcel.version)
        payload = orjson.dumps(event)
        spoiled, parcel.forged = parcel.forged, False
        # The receiver compares with its own clock, which nobody moves.
        signed = signature(payload, [SECRET], int(time.time()), spoiled=spoiled)
        try:
            async with self._http.post(
                f"{url}/api/v1/webhooks/stripe", data=payload, headers={"Stripe-Signature": signed}
            ) as response:
                await response.read()
                acknowledged = response.ok
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        self.delivered += acknowledged
        return acknowledged
