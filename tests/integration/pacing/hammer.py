"""Asks Stripe as fast as it may, as one of several processes: DATABASE_URL STRIPE_URL MAX_RPS REQUESTS."""

import asyncio
import sys

from common.clock import SystemClock
from common.settings import Secret
from writer.db.engine import create_engine
from writer.gateway.rate_limit import Urgency
from writer.gateway.shared_rate_limit import SharedLimiter
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import StripeTransport
from writer.settings import DatabaseSettings, StripeSettings


async def hammer(database_url: str, stripe_url: str, max_rps: int, requests: int) -> None:
    """Half for payers, half for work that can wait."""
    engine = create_engine(DatabaseSettings(Secret(database_url), None, 5, 30, 10, 30))
    settings = StripeSettings(Secret("sk_test_sandbox"), None, (), stripe_url, max_rps)
    async with SharedLimiter(engine, max_rps) as limiter, StripeTransport(settings, limiter, SystemClock()) as stripe:
        gateways = [StripeGateway(stripe, urgency) for urgency in Urgency]
        await asyncio.gather(*(gateways[n % 2].retrieve_customer(f"cus_{n}") for n in range(requests)))
    await engine.dispose()


if __name__ == "__main__":
    database, stripe_api, rps, count = sys.argv[1:]
    asyncio.run(hammer(database, stripe_api, int(rps), int(count)))
