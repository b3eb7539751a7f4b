"""What the writer promises of checkouts, looked at while all is quiet: one customer each, and nothing bought twice."""

from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from itertools import pairwise
from random import Random
from typing import Any, Final

from tests.lives.compare import Difference
from tests.lives.oracle import DAY, Oracle, Who
from tests.lives.orders import REFUSALS
from tests.lives.town import Town
from tests.lives.writer_api import WriterApi

_ASKED: Final = 6
_HOLDING: Final = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
_BY_WRITER: Final = "customer-"
"""How the idempotency keys begin under which the writer makes customers."""


async def broken(town: Town, api: WriterApi, oracle: Oracle, rng: Random) -> list[Difference]:
    """Promises that are not kept, those that were broken on the way among them."""
    return [*town.broken_promises, *_several_customers(town), *await _sold_again(town, api, oracle, rng)]


def _several_customers(town: Town) -> Iterator[Difference]:
    made: dict[Who, list[dict[str, Any]]] = defaultdict(list)
    renamed, gone = set(), town.account().gone
    for event in town.standin.store.all("event"):
        customer = event["data"]["object"]
        if event["type"] == "customer.updated" and "metadata" in event["data"].get("previous_attributes", {}):
            renamed.add(customer["id"])
        elif event["type"] == "customer.created" and (event["request"]["idempotency_key"] or "").startswith(_BY_WRITER):
            made[customer["metadata"]["project_id"], customer["metadata"]["user_id"]].append(customer)
    for who, customers in made.items():
        living = [one for one in customers if one["id"] not in gone and one["id"] not in renamed]
        # A writer that died before it wrote down whom it had made learns of it by its event, at the latest by the
        # sweep. A town's time is weeks ahead by then, and Stripe's memory of the idempotency key is gone.
        moments = sorted(one["created"] for one in living)
        if any(later - earlier < DAY for earlier, later in pairwise(moments)):
            yield Difference(who, "customers that the writer made", 1, [one["id"] for one in living])


async def _sold_again(town: Town, api: WriterApi, oracle: Oracle, rng: Random) -> list[Difference]:
    """Order again what somebody has."""
    having = sorted(
        (who, price) for who, status, price in oracle.subscribed if status in _HOLDING and who[0] in api.keys
    )
    found = []
    for who, price in rng.sample(having, min(_ASKED, len(having))):
        body = {
            "user_id": who[1],
            "price_id": price,
            "success_url": "https://shop.example/back",
            "cancel_url": "https://shop.example/",
        }
        status, answer = await api.call("POST", "checkout/create", body, project=who[0])
        if status == HTTPStatus.OK or answer["code"] not in REFUSALS:
            found.append(Difference(who, f"{price} ordered again", "already_subscribed", answer))
    return found
