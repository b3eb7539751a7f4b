"""The town: a Stripe account with the shops' goods in it, and where each name of the plan is found there."""

from collections import Counter

import aiohttp

from sandbox.stripe.server import StripeStandIn
from tests.lives.account import Account, Gift, Json
from tests.lives.compare import Difference
from tests.lives.goods import CATALOGUES, PRICES, PRODUCTS, with_ids
from tests.lives.stripe_api import StripeApi


class Town:
    """One stand-in, with ids by the plan's names (`life:name`), and what is declared and given beside Stripe."""

    def __init__(self, standin: StripeStandIn, http: aiohttp.ClientSession) -> None:
        self.standin = standin
        self.api = StripeApi(http, standin.url)
        self.goods: dict[str, str] = {}
        self.ids: dict[tuple[str, str], str] = {}
        self.declared: dict[str, Json] = {}
        self.gifts: dict[str, Gift] = {}
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.broken_promises = list[Difference]()

    @property
    def now(self) -> int:
        """Unix seconds there."""
        return self.standin.clock.now()

    async def stock(self) -> None:
        """Make products and prices."""
        for name, metadata in PRODUCTS.items():
            self.goods[name] = (await self.api.post("products", name=name, metadata=metadata))["id"]
        for name, price in PRICES.items():
            recurring = {"recurring": {"interval": price.interval}} if price.interval else {}
            made = await self.api.post(
                "prices",
                product=self.goods[price.product],
                currency="usd",
                unit_amount=price.cents,
                metadata=price.metadata,
                **recurring,
            )
            self.ids["price", name] = made["id"]
        for name, off in (("free", 100), ("half", 50)):
            await self.api.post("coupons", id=name, percent_off=off, duration="forever")

    def price(self, name: str) -> str:
        """A price's id."""
        return self.ids["price", name]

    def catalogue(self, name: str) -> tuple[str, Json]:
        """A catalogue by its name: whose, and the body that declares it."""
        project, body = CATALOGUES[name]
        prices = {price: self.price(price) for price in PRICES}
        return project, with_ids(body, {**prices, **self.goods})

    def find(self, kind: str, who: str, name: str) -> Json | None:
        """The object that a plan's name stands for; None where it never came to be."""
        return self.standin.store.find(kind, self.ids.get((who, name)))

    def account(self) -> Account:
        """All that the oracle may know."""
        store = self.standin.store
        deletions = [event["data"]["object"] for event in store.all("event") if event["type"] == "customer.deleted"]
        return Account(
            store.tables,
            store.note("session_lines"),
            self.now,
            dict(self.declared),
            tuple(self.gifts.values()),
            {customer["id"]: customer for customer in deletions},
        )
