"""Subscriptions: their state and their items. Whose they are is compared by `writer.reconcile.ownership`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import format_time
from writer.apply import subscription
from writer.domain.stripe.kinds import ObjectKind
from writer.domain.stripe.subscription import Subscription, parse_subscription
from writer.reconcile.comparing.facts import Comparison, Facts, Sides

_TIMES: Final = ("started_at", "trial_end", "cancel_at", "canceled_at", "ended_at")


async def _sides(connection: AsyncConnection, parsed: Sequence[Subscription]) -> Mapping[str, Sides]:
    held = await subscription.load_many(connection, [one.id for one in parsed])
    return {one.id: Sides(_facts(one), _facts(held[one.id]) if one.id in held else None) for one in parsed}


def _facts(one: Subscription) -> Facts:
    facts = {name: value for name, value in asdict(one).items() if name not in {"id", "items", *_TIMES}}
    for name in _TIMES:
        moment = getattr(one, name)
        facts[name] = None if moment is None else format_time(moment)
    for item in one.items:
        facts |= {
            f"{item.id}.price_id": item.price_id,
            f"{item.id}.product_id": item.product_id,
            f"{item.id}.quantity": item.quantity,
            f"{item.id}.period_start": format_time(item.period_start),
            f"{item.id}.period_end": format_time(item.period_end),
        }
    return facts


SUBSCRIPTIONS: Final = Comparison(ObjectKind.SUBSCRIPTION, parse_subscription, _sides)
