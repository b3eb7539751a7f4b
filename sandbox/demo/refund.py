"""Chapter: something bought once is for life, until the money is given back."""

from sandbox.demo.world import World, took
from sandbox.propagation import changed_by


async def play(world: World) -> None:
    """Bought, then given back."""
    report, notes, stripe = world.report, world.notes, world.stack.stripe
    report.chapter("Bought once, then refunded: dan and the themes")
    bought = await changed_by(
        lambda: world.paid("dan", notes.prices.purchase), notes.sidecar, notes.writer, "dan", "themes"
    )
    report.expect(
        f"dan buys the themes for 5.00: allowed, for life. {took(bought)}",
        bought.answer,
        allowed=True,
        source="purchase",
        valid_to=None,
    )
    entitled = await notes.sidecar.answers.call("GET", "/api/v1/entitlements", query={"user_id": "dan"})
    session = await stripe.get(f"checkout/sessions/{entitled['entitlements'][0]['source_ref']}")
    refunding = await changed_by(
        lambda: stripe.post("refunds", payment_intent=session["payment_intent"]),
        notes.sidecar,
        notes.writer,
        "dan",
        "themes",
    )
    report.expect(
        f"Stripe gives all of it back: denied. {took(refunding)}", refunding.answer, allowed=False, reason="not_granted"
    )
    bea = await notes.sidecar.check("bea", "export")
    report.expect("bea keeps what she pays for", bea, allowed=True)
