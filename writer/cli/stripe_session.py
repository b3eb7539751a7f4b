"""A command that also speaks to Stripe: the key read, the rate kept, Stripe's faults told in words."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from common.clock import SystemClock
from writer import settings
from writer.cli.session import fail, operate, told
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError
from writer.gateway.rate_limit import WindowLimiter
from writer.gateway.transport import StripeTransport
from writer.operations.operations import Operations

T = TypeVar("T")


def operate_with_stripe(work: Callable[[Operations, StripeTransport], Awaitable[T]]) -> T:
    """The result of `work`, which gets Stripe by STRIPE_SECRET_KEY; every expected fault ends the process."""
    stripe = told(settings.read_stripe)

    async def run(operations: Operations) -> T:
        async with StripeTransport(stripe, WindowLimiter(stripe.max_rps), SystemClock()) as transport:
            return await work(operations, transport)

    try:
        return operate(run)
    except StripeUnavailableError as error:
        fail(f"Stripe does not answer, try again: {error}")
    except StripeRefusedError as error:
        fail(f"Stripe refused: {error}")
