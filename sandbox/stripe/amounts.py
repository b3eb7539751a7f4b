"""What a price costs in a quantity: per unit, or by tiers; a metered one is paid afterwards, by use."""

from collections.abc import Iterator
from typing import Any

from sandbox.stripe.errors import invalid, required
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.params import Params
from sandbox.stripe.shapes import JsonObject

MODES = ("graduated", "volume")


def cost(ledger: Ledger, price: JsonObject, quantity: int | None) -> int:
    """The amount in the currency's smallest unit; nothing for a metered price, as no use is played here."""
    if is_metered(price) or quantity is None:
        return 0
    if price["billing_scheme"] == "per_unit":
        return int(price["unit_amount"] * quantity)
    tiers = ledger.store.note("tiers")[price["id"]]
    if price["tiers_mode"] == "volume":
        tier = next(one for one in tiers if one["up_to"] is None or quantity <= one["up_to"])
        return int((tier["unit_amount"] or 0) * quantity + (tier["flat_amount"] or 0))
    return sum(_graduated(tiers, quantity))


def is_metered(price: JsonObject) -> bool:
    """Whether it is billed by use: its items have no quantity."""
    return bool(price["recurring"] and price["recurring"]["usage_type"] == "metered")


def tiers_of(params: Params) -> list[JsonObject]:
    """The tiers of a new price: ascending, the last one without end."""
    tiers = []
    for entry in params.hashes("tiers"):
        end = entry.need("up_to")
        amounts: dict[str, Any] = {name: entry.integer(name, minimum=0) for name in ("flat_amount", "unit_amount")}
        texts = {f"{name}_decimal": None if amount is None else str(amount) for name, amount in amounts.items()}
        tiers.append({"up_to": None if end == "inf" else int(end), **amounts, **texts})
    if not tiers:
        raise required(params.named("tiers"))
    if [one["up_to"] for one in tiers].index(None) != len(tiers) - 1:
        raise invalid("The last tier must have `up_to` set to `inf`.", params.named("tiers"))
    return tiers


def _graduated(tiers: list[JsonObject], quantity: int) -> Iterator[int]:
    below = 0
    for tier in tiers:
        top = quantity if tier["up_to"] is None else min(quantity, tier["up_to"])
        if top > below:
            yield (tier["unit_amount"] or 0) * (top - below) + (tier["flat_amount"] or 0)
            below = top
