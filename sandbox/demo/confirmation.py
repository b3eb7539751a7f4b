"""Chapter: whoever returns from Stripe reads their own payment at once, also when the webhook is late."""

import asyncio

from sandbox.demo.world import World

SETTLE_S = 0.4


async def play(world: World) -> None:
    """Webhooks are held back; confirm and `min_revision` do without."""
    report, notes, stripe = world.report, world.notes, world.stack.stripe
    report.chapter("Back from Stripe before the webhook: bea reads her own payment")
    await stripe.control("hold")
    session = await world.paid("bea", notes.prices.subscription)
    answer = await notes.sidecar.check("bea", "export")
    report.expect("bea has paid, Stripe's webhooks are held back: still denied", answer, allowed=False)

    confirmed = await notes.writer.confirm(session["id"])
    report.expect(
        f"POST /checkout/confirm applies the session itself and gives the token {confirmed['token']}",
        confirmed,
        status="complete",
        pending=False,
        user_id="bea",
    )
    answer = await notes.sidecar.check("bea", "export", min_revision=confirmed["token"])
    report.expect("The sidecar asked with min_revision=TOKEN: allowed", answer, allowed=True, stale=False)
    report.require("and not from behind that revision", not answer.get("behind"), f"the whole answer: {answer}")

    before = await notes.sidecar.standing()
    released = await stripe.control("release")
    await asyncio.sleep(SETTLE_S)  # the absence of a change has no event to wait for
    after = await notes.sidecar.standing()
    report.expect(
        f"Then {released['delivered']} webhooks come late: nothing is doubled, the revision stays {after['revision']}",
        after,
        revision=before["revision"],
        digest=before["digest"],
    )
