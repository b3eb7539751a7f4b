"""The stand-in in a container: it listens on one address, and a browser reaches it by another."""

import aiohttp

from sandbox.clients import Endpoint, Stripe
from sandbox.keyring import STRIPE_KEY
from sandbox.stripe.server import Options, StripeStandIn

PUBLIC = "http://stripe.localhost:12111"


async def test_links_on_pages_have_the_public_address() -> None:
    """The API is asked where it listens; what a customer follows leads to `public_url`."""
    options = Options(host="127.0.0.1", public_url=PUBLIC)
    async with StripeStandIn(options) as standin, aiohttp.ClientSession() as session:
        assert standin.url == PUBLIC
        assert standin.port > 0
        stripe = Stripe(Endpoint(session, f"http://127.0.0.1:{standin.port}", STRIPE_KEY))
        customer = await stripe.post("customers", name="ada")
        portal = await stripe.post("billing_portal/sessions", customer=customer["id"], return_url="http://localhost/")
        assert portal["url"].startswith(f"{PUBLIC}/p/session/")
