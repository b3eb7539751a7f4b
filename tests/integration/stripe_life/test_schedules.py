"""Schedules: each phase arrives as an update of its subscription, and nothing else has to be read."""

from typing import Any

import pytest

from tests.support.stripe_standin import DAY
from tests.support.town import GRACE, Town, period_end


async def scheduled(town: Town, first: Any, second: Any, **more: Any) -> tuple[Any, Any]:
    """A subscription of `first` that changes to `second` when its period ends; and its schedule."""
    bought = await town.subscribed(first)
    made = await town.client.subscription_schedules.create_async({"from_subscription": bought.id})
    running = {"start_date": made.phases[0].start_date, "end_date": made.phases[0].end_date}
    phases = [
        {"items": [{"price": first.id, "quantity": 1}], **running},
        {"items": [{"price": second.id, "quantity": 1}]},
    ]
    schedule = await town.client.subscription_schedules.update_async(made.id, {"phases": phases, **more})
    return bought, schedule


async def test_a_planned_downgrade(town: Town) -> None:
    """The first phase's features hold until the second begins, with the period's end; then the second's do."""
    bought, schedule = await scheduled(town, await town.price("archive", amount=5000), await town.price("export"))
    assert await town.ends() == {"archive": period_end(bought) + GRACE}
    town.wait_until(period_end(bought) + 1)
    now = await town.stripes(bought)
    assert now.schedule == schedule.id
    assert await town.ends() == {"export": period_end(now) + GRACE}


@pytest.mark.parametrize(("end", "status"), [("release", "active"), ("cancel", "canceled")])
async def test_how_a_schedule_ends(town: Town, end: str, status: str) -> None:
    """Released, the subscription goes on as it is; `cancel` ends it with the last phase."""
    bought, schedule = await scheduled(town, await town.price("archive"), await town.price("export"), end_behavior=end)
    town.wait_until(schedule.phases[1].end_date + 1)
    now = await town.stripes(bought)
    assert (now.status, now.schedule) == (status, None)
    if end == "release":
        assert await town.ends() == {"export": period_end(now) + GRACE}
    else:
        assert await town.ends() == {"export": now.ended_at}


async def test_a_schedule_that_is_released_or_cancelled(town: Town) -> None:
    """Released before its time, no later phase comes; cancelled, it takes the subscription along."""
    price = await town.price("archive")
    bought, schedule = await scheduled(town, price, await town.price("export"))
    await town.client.subscription_schedules.release_async(schedule.id)
    town.wait_until(period_end(bought) + 1)
    assert await town.features() == ["archive"]
    other = await town.client.subscription_schedules.create_async({"from_subscription": bought.id})
    town.wait(DAY)
    await town.client.subscription_schedules.cancel_async(other.id)
    assert await town.ends() == {"archive": (await town.stripes(bought)).ended_at}
