"""Whether the writer's tables say what the stand-in holds, and what became of the events on the way."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from sandbox.clients import Json
from sandbox.stack import Stack

PATIENCE_S: Final = 30.0
POLL_S: Final = 0.05


class MissedError(Exception):
    """Something did not come out as it must; the message says what."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """One connection to the stack's Postgres, and the stand-in that it is compared with."""

    stack: Stack
    database: asyncpg.Connection

    async def settled(self, event_ids: Collection[str]) -> Counter[str]:
        """Wait until these events were received and worked on; how many came to what. MissedError: one did not."""
        ids = list(event_ids)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while await self.database.fetchval(_UNSETTLED, ids):  # noqa: ASYNC110 - the writer is another process
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise MissedError(f"{await self.database.fetchval(_UNSETTLED, ids)} is not settled") from error
        rows = await self.database.fetch(_OUTCOMES, ids)
        for row in rows:
            if row["status"] == "parked":
                raise MissedError(f"{row['type']} is parked: {row['last_error']}")
        return Counter(row["status"] for row in rows)

    async def compare(self) -> None:
        """MissedError names the first object that the writer holds otherwise than the stand-in."""
        held: dict[str, Any] = (await self.stack.stripe.api.call("GET", "/_sandbox/state"))["objects"]
        for name, statement in _ROWS.items():
            rows = {row["id"]: dict(row) for row in await self.database.fetch(statement)}
            for wanted in _wanted(name, list(held.get(name, {}).values())):
                if rows.get(wanted["id"]) != wanted:
                    raise MissedError(f"{name} {wanted['id']}: Stripe {wanted}, here {rows.get(wanted['id'])}")


def _wanted(name: str, objects: list[Json]) -> Iterator[Json]:
    for one in objects:
        match name:
            case "subscription":
                prices = sorted(item["price"]["id"] for item in _data(one["items"]))
                fields = ("id", "status", "cancel_at_period_end")
                yield {**{key: one[key] for key in fields}, "prices": prices}
            case "refund" | "dispute" if one.get("payment_intent"):
                yield {key: one[key] for key in ("id", "status", "amount", "payment_intent")}
            case "product" | "price":
                yield {"id": one["id"], "active": one["active"]}
            case "checkout.session" if one["status"] == "complete" and one["mode"] == "payment":
                yield {"id": one["id"], "payment_status": one["payment_status"]}
            case _:
                pass


def _data(listed: Any) -> list[Json]:
    found: list[Json] = listed["data"] if isinstance(listed, dict) else listed
    return found


_UNSETTLED: Final = """
SELECT wanted FROM unnest($1::text[]) wanted
WHERE NOT EXISTS (SELECT FROM webhook_events e WHERE e.id = wanted AND e.status <> 'pending') LIMIT 1
"""

_OUTCOMES: Final = "SELECT type, status, last_error FROM webhook_events WHERE id = ANY($1)"

_ROWS: Final = {
    "subscription": """
        SELECT s.id, s.status, s.cancel_at_period_end,
            ARRAY(SELECT price_id FROM subscription_items WHERE subscription_id = s.id ORDER BY 1) AS prices
        FROM subscriptions s""",
    "refund": "SELECT id, status, amount, payment_intent FROM refunds",
    "dispute": "SELECT id, status, amount, payment_intent FROM disputes",
    "product": "SELECT id, active FROM products",
    "price": "SELECT id, active FROM prices",
    "checkout.session": "SELECT id, payment_status FROM purchases",
}
