"""A payer comes back while Stripe's webhooks arrive: whoever is first, it is bought once and holds at once."""

import asyncio
from typing import Any

import pytest

from common.identifiers import ProjectId, UserId
from tests.support.ingest import until
from tests.support.town import GRACE, TRIAL_GRACE, Town, owned, period_end
from writer.auth import KeyHolder
from writer.checkout.confirm import Confirm, Confirmation


def confirming(town: Town) -> Confirm:
    """The writer's side of a return from Stripe."""
    ingest = town.ingest
    return Confirm(ingest.transactions, town.gateway, ingest.applier, ingest.relay, ingest.clock)


async def confirm(town: Town, session: Any) -> Confirmation:
    """Ada is back from a session."""
    holder = KeyHolder(town.ingest.project_id, ProjectId("shop"), "web", "key")
    return await confirming(town).confirm(holder, session.id, UserId("ada"))


@pytest.mark.parametrize("confirms_first", [True, False])
@pytest.mark.parametrize("kind", ["plan", "trial", "once"])
async def test_a_return_among_the_webhooks(town: Town, kind: str, confirms_first: bool) -> None:
    """Confirms and a payment's webhooks at the same moment end in one purchase, one revision, and what Stripe holds."""
    price = await town.price("export", None if kind == "once" else "month")
    await town.settled()
    data = {"metadata": owned(), **({"trial_period_days": 7} if kind == "trial" else {})}
    extra = {} if kind == "once" else {"subscription_data": data}
    session = await town.shop.session(
        price, mode="payment" if kind == "once" else "subscription", metadata=owned(), **extra
    )
    await town.shop.control("hold")
    await town.shop.control(f"pay/{session.id}", outcome="pay")
    told = town.shop.control("release")
    back = [confirm(town, session) for _ in range(3)]
    answers = await asyncio.gather(*([*back, told] if confirms_first else [told, *back]))
    confirmed = [answer for answer in answers if isinstance(answer, Confirmation)]
    assert [[row["feature_code"] for row in answer.entitlements] for answer in confirmed] == [["export"]] * 3
    paid = await town.client.checkout.sessions.retrieve_async(session.id, {"expand": ["subscription"]})
    end = None if kind == "once" else period_end(paid.subscription) + (TRIAL_GRACE if kind == "trial" else GRACE)
    assert await town.ends() == {"export": end}
    assert len(await town.ingest.query("SELECT 1 FROM entitlement_history WHERE user_id = 'ada'")) == 1
    await until(town.ingest, "SELECT count(*) > 2 FROM webhook_events WHERE status IN ('applied', 'superseded')")
