"""An account as apps leave it that knew nothing of this service: hardly any metadata, archived prices, refunds."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.integration.takeover.conftest import Takeover
from tests.support.stripe_standin import Shop

AT_ONCE = 8


@dataclass
class OldAccount:
    """What was sold, who bought, and what everybody should hold: (project, user) to features."""

    shop: Shop
    prices: dict[str, Any] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)
    """Lines of customers.csv."""
    expected: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    nobodys: set[str] = field(default_factory=set)
    """Open subscriptions and paid purchases that no rule gives to anybody."""

    @property
    def catalogue(self) -> str:
        """catalog.yaml: by price, the archived one too."""
        price = {name: one.id for name, one in self.prices.items()}
        return f"""
version: 1
projects:
  shop:
    features: {{pro: {{}}, fonts: {{}}, old: {{}}}}
    plans:
      {price["pro"]}: {{features: [pro]}}
      {price["fonts"]}: {{features: [fonts]}}
      {price["archived"]}: {{features: [old]}}
  maps:
    features: {{tiles: {{}}, seats: {{kind: limit}}}}
    plans:
      {price["tiles"]}: {{features: [tiles]}}
      {price["seats"]}: {{features: {{seats: {{value: 1, per_unit: true}}}}}}
"""

    @property
    def map(self) -> str:
        """customers.csv."""
        return "\n".join(["customer_id,user_id,project_id", *self.rows]) + "\n"

    async def stock(self) -> None:
        """What is sold; one price is archived, and one is in no catalogue."""
        for name, interval in (
            ("pro", "month"), ("fonts", None), ("archived", "month"), ("tiles", None), ("seats", "month"),
            ("alien", "month"),
        ):  # fmt: skip
            self.prices[name] = await self.shop.price(900, interval)

    async def close(self) -> None:
        """Archive a price that people still pay."""
        await self.shop.client.v1.prices.update_async(self.prices["archived"].id, {"active": False})

    async def customer(self, number: int) -> None:
        """One customer's life, by its number."""
        user = f"user_{number}"
        customer = await self.shop.client.v1.customers.create_async({"email": f"{user}@example.com"})
        await getattr(self, f"_{KINDS[number % len(KINDS)]}")(customer.id, user)

    def _map(self, customer: str, user: str, project: str = "") -> None:
        self.rows.append(f"{customer},{user},{project}")

    def _expect(self, project: str, user: str, *features: str) -> None:
        self.expected.setdefault((project, user), set()).update(features)

    async def _buy(self, name: str, customer: str, **more: Any) -> Any:
        mode = "subscription" if self.prices[name].recurring else "payment"
        return await self.shop.bought(self.prices[name], mode=mode, customer=customer, **more)

    async def _mapped_subscriber(self, customer: str, user: str) -> None:
        await self._buy("pro", customer)
        self._map(customer, user)
        self._expect("shop", user, "pro")

    async def _named_subscriber(self, customer: str, user: str) -> None:
        await self._buy("pro", customer, subscription_data={"metadata": {"user_id": user}})
        self._expect("shop", user, "pro")

    async def _referring_session(self, customer: str, user: str) -> None:
        await self._buy("pro", customer, client_reference_id=user)
        await self._buy("fonts", customer)  # names nobody; the customer is known by the other session
        self._expect("shop", user, "pro", "fonts")

    async def _mapped_buyer(self, customer: str, user: str) -> None:
        await self._buy("fonts", customer)
        self._map(customer, user, "shop")
        self._expect("shop", user, "fonts")

    async def _refunded_buyer(self, customer: str, user: str) -> None:
        session = await self._buy("fonts", customer, client_reference_id=user)
        await self.shop.client.v1.refunds.create_async({"payment_intent": session.payment_intent})
        self._expect("shop", user)

    async def _on_an_archived_price(self, customer: str, user: str) -> None:
        await self._buy("archived", customer)
        self._map(customer, user)
        self._expect("shop", user, "old")

    async def _gone_subscriber(self, customer: str, user: str) -> None:
        session = await self._buy("pro", customer)
        await self.shop.client.v1.subscriptions.cancel_async(session.subscription)
        self._map(customer, user)
        self._expect("shop", user)

    async def _cancelling(self, customer: str, user: str) -> None:
        session = await self._buy("pro", customer, subscription_data={"trial_period_days": 14})
        await self.shop.client.v1.subscriptions.update_async(session.subscription, {"cancel_at_period_end": True})
        self._map(customer, user)
        self._expect("shop", user, "pro")

    async def _in_two_projects(self, customer: str, user: str) -> None:
        await self._buy("pro", customer)
        await self._buy("tiles", customer)
        await self.shop.bought(
            self.prices["seats"], mode="subscription", customer=customer, metadata={"project_id": "maps"}
        )
        self._map(customer, user, "shop")
        self._expect("shop", user, "pro")
        self._expect("maps", user, "tiles", "seats")

    async def _nobody(self, customer: str, user: str) -> None:
        session = await self._buy("pro", customer)
        bought = await self._buy("tiles", customer)
        await self._buy("alien", customer, client_reference_id=user)
        self.nobodys |= {session.subscription, bought.id}


KINDS = (
    "mapped_subscriber", "named_subscriber", "referring_session", "mapped_buyer", "refunded_buyer",
    "on_an_archived_price", "gone_subscriber", "cancelling", "in_two_projects", "nobody",
)  # fmt: skip


async def populate(takeover: Takeover, customers: int) -> OldAccount:
    """An account of so many customers, a tenth of each kind; the projects exist here, with their catalogues."""
    account = OldAccount(takeover.shop)
    await account.stock()
    turns = asyncio.Semaphore(AT_ONCE)

    async def live(number: int) -> None:
        async with turns:
            await account.customer(number)

    await asyncio.gather(*(live(number) for number in range(customers)))
    await account.close()
    for project in ("shop", "maps"):
        await takeover.json("project", "create", project)
    await takeover.json("catalog", "apply", "-", "--yes", stdin=account.catalogue)
    return account
