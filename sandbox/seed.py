"""What the stack sells, put where it belongs: products and prices at Stripe; project, key, catalogue at the writer.

Everything is looked for before it is made, so seeding a seeded stack changes nothing.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from sandbox.clients import CallError, Endpoint, Stripe
from sandbox.keyring import Keyring
from sandbox.shop import App, Product

PROJECTS: Final = "/api/v1/admin/projects"
MIRROR_TIMEOUT_S: Final = 15.0
POLL_S: Final = 0.02


class SeedError(Exception):
    """The stack could not be filled; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The Stripe prices of an app's two products."""

    subscription: str
    purchase: str


async def seed_stripe(stripe: Stripe, app: App) -> Prices:
    """Products and prices of one app."""
    subscription, purchase = [await _price(stripe, app, product) for product in app.products]
    return Prices(subscription, purchase)


async def seed_writer(writer: Endpoint, app: App, keyring: Keyring) -> Keyring:
    """Project, key and catalogue of one app; `writer` carries the admin key. The keyring with the project's key."""
    await _project(writer, app)
    key = keyring.projects.get(app.project)
    if key is None or not await _opens(writer, key):
        made = await writer.call("POST", f"{PROJECTS}/{app.project}/keys", body={"app": app.project})
        keyring = keyring.with_project(app.project, made["key"])
    await writer.call("PUT", f"{PROJECTS}/{app.project}/catalog", body=catalogue(app))
    return keyring


async def until_sold(writer: Endpoint, app: App, prices: Prices) -> None:
    """Wait until the writer has heard of both prices from Stripe; SeedError where it does not."""
    try:
        async with asyncio.timeout(MIRROR_TIMEOUT_S):
            while not {prices.subscription, prices.purchase} <= await _sold(writer, app):  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise SeedError(f"the writer has not heard of the prices of {app.name} by webhook") from error


def catalogue(app: App) -> dict[str, Any]:
    """The app's catalogue as the writer takes it."""
    plans = {
        product.id: {"features": {code: True if value is None else value for code, value in product.grants.items()}}
        for product in app.products
    }
    return {"name": app.name, "features": {code: dict(row) for code, row in app.features.items()}, "plans": plans}


async def _price(stripe: Stripe, app: App, product: Product) -> str:
    found = await stripe.get("prices", **{"lookup_keys[]": product.lookup_key})
    if found["data"]:
        return str(found["data"][0]["id"])
    try:
        await stripe.get(f"products/{product.id}")
    except CallError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        await stripe.post_form(
            "products", {"id": product.id, "name": product.name, "metadata[project_id]": app.project}
        )
    form = {
        "product": product.id,
        "currency": "usd",
        "unit_amount": str(product.cents),
        "lookup_key": product.lookup_key,
    }
    if product.interval is not None:
        form["recurring[interval]"] = product.interval
    return str((await stripe.post_form("prices", form))["id"])


async def _project(writer: Endpoint, app: App) -> None:
    try:
        await writer.call(
            "POST", PROJECTS, body={"project_id": app.project, "name": app.name, "return_hosts": ["localhost"]}
        )
    except CallError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise


async def _opens(writer: Endpoint, key: str) -> bool:
    try:
        await Endpoint(writer.session, writer.url, key).call("GET", "/api/v1/catalog")
    except CallError as error:
        if error.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise
        return False
    return True


async def _sold(writer: Endpoint, app: App) -> set[str]:
    catalog = await writer.call("GET", "/api/v1/catalog", query={"project_id": app.project})
    return {price["price_id"] for price in catalog["prices"]}
