"""Chapter: cancelled, and denied at the right time: by the clock alone, or when Stripe says so."""

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sandbox.clients import Json
from sandbox.demo.world import World, took
from sandbox.propagation import changed_by, until
from sandbox.stack import RunningApp

AHEAD_S: Final = 2
AFTER_S: Final = 0.4
EVERY_S: Final = 0.01
TIMEOUT_S: Final = 15.0
HOUR_S: Final = 3600


async def play(world: World) -> None:
    """A cancellation at a moment, one at the period's end, and a renewal."""
    world.report.chapter("Cancelled: denied at the right time; renewed: allowed on")
    await _at_a_moment(world)
    await _at_period_end(world)
    await _renewed(world)


async def _at_a_moment(world: World) -> None:
    report, notes, stripe = world.report, world.notes, world.stack.stripe
    subscription, _ = await _subscription(world, "ada")
    before = await notes.sidecar.check("ada", "export")
    end = math.ceil(time.time()) + AHEAD_S
    await stripe.post(f"subscriptions/{subscription}", cancel_at=str(end))
    async with asyncio.timeout(TIMEOUT_S):
        seen = await until(lambda answer: answer["valid_to"] == _text(end), before, notes.sidecar)
    report.expect(
        f"ada cancels as of {_clock(end)}: until then she is allowed, and the answer says so",
        seen.answer,
        allowed=True,
        valid_to=_text(end),
    )
    await stripe.control("hold")  # from here on the sidecar hears nothing from Stripe
    samples = await _sampled(notes, end + AFTER_S)
    wrong = [sample for sample in samples if not sample.right(end)]
    after = [sample.answer for sample in samples if sample.asked >= end]
    report.require(
        f"{len(samples)} answers around that moment, none off: {len(samples) - len(after)} before, {len(after)} after",
        not wrong and bool(after),
        f"{len(wrong)} wrong, such as {wrong[:1]}",
    )
    report.expect(
        f"No message was needed: the revision is still {seen.answer['revision']}",
        after[-1],
        allowed=False,
        reason="expired",
        revision=seen.answer["revision"],
    )
    await stripe.control("release")


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer, when it was asked for and when it was here: it was given in between."""

    asked: float
    answer: Json
    here: float

    def right(self, end: float) -> bool:
        """Whether the answer fits a right that ends at `end`; while `end` passes both do."""
        if self.asked < end <= self.here:
            return True
        return bool(self.answer["allowed"] is (self.here < end))


async def _sampled(app: RunningApp, stop: float) -> list[Sample]:
    samples = []
    while time.time() < stop:
        asked = time.time()
        answer = await app.sidecar.check("ada", "export")
        samples.append(Sample(asked, answer, time.time()))
        await asyncio.sleep(EVERY_S)
    return samples


async def _at_period_end(world: World) -> None:
    report, notes, stripe = world.report, world.notes, world.stack.stripe
    bought = await changed_by(
        lambda: world.paid("cleo", notes.prices.subscription), notes.sidecar, notes.writer, "cleo", "export"
    )
    report.expect(f"cleo subscribes: allowed. {took(bought)}", bought.answer, allowed=True, source="subscription")
    subscription, end = await _subscription(world, "cleo")
    await stripe.post(f"subscriptions/{subscription}", cancel_at_period_end="true")
    async with asyncio.timeout(TIMEOUT_S):
        seen = await until(lambda answer: answer["valid_to"] == end, bought.answer, notes.sidecar)
    report.expect(
        f"She cancels at the period's end: she has paid for it, allowed until {end}",
        seen.answer,
        allowed=True,
        valid_to=end,
    )
    ended = await changed_by(
        lambda: stripe.delete(f"subscriptions/{subscription}"), notes.sidecar, notes.writer, "cleo", "export"
    )
    report.expect(f"Support ends it at once instead: denied. {took(ended)}", ended.answer, allowed=False)


async def _renewed(world: World) -> None:
    report, notes, stripe = world.report, world.notes, world.stack.stripe
    clock = await stripe.post("test_helpers/test_clocks", frozen_time=str(int(time.time())))
    begun = await changed_by(
        lambda: _subscribed_on(world, clock["id"], "finn"), notes.sidecar, notes.writer, "finn", "export"
    )
    until_then = begun.answer["valid_to"]
    report.expect(
        f"finn's month runs on one of Stripe's test clocks: allowed until {until_then}, three days of grace included",
        begun.answer,
        allowed=True,
    )
    _, end = await _subscription(world, "finn")
    after = int(datetime.fromisoformat(end).timestamp()) + HOUR_S
    await stripe.post(f"test_helpers/test_clocks/{clock['id']}/advance", frozen_time=str(after))
    async with asyncio.timeout(TIMEOUT_S):
        seen = await until(lambda answer: answer["valid_to"] > until_then, begun.answer, notes.sidecar)
    report.expect(
        f"The clock is moved by a month, Stripe renews: allowed until {seen.answer['valid_to']}",
        seen.answer,
        allowed=True,
    )


async def _subscribed_on(world: World, clock: str, user: str) -> None:
    """A subscription made at Stripe directly, as by a support team in its dashboard: metadata says whose it is."""
    stripe, notes = world.stack.stripe, world.notes
    customer = await stripe.post("customers", test_clock=clock, name=user)
    await stripe.post_form(
        "subscriptions",
        {
            "customer": customer["id"],
            "items[0][price]": notes.prices.subscription,
            "metadata[user_id]": user,
            "metadata[project_id]": notes.app.project,
        },
    )


async def _subscription(world: World, user: str) -> tuple[str, str]:
    """The id of a user's subscription and the end of its period, as the writer tells them to an account page."""
    found = await world.notes.writer.api.call("GET", "/api/v1/subscriptions", query={"user_id": user})
    subscription = found["subscriptions"][0]
    return subscription["id"], subscription["items"][0]["current_period_end"]


def _text(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _clock(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")
