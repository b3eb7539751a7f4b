"""A command that also speaks to Stripe: the key read, the rate kept, Stripe's faults told in words."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from writer import settings
from writer.cli.session import fail, on_ground, told
from writer.gateway.errors import KeyRefusedError, StripeRefusedError, StripeUnavailableError, UnpacedError
from writer.gateway.shared_rate_limit import SharedLimiter
from writer.gateway.transport import StripeTransport
from writer.operations.operating import Ground
from writer.operations.operations import Operations

T = TypeVar("T")


def operate_with_stripe(work: Callable[[Operations, StripeTransport], Awaitable[T]]) -> T:
    """The result of `work`, which gets Stripe by STRIPE_SECRET_KEY; every expected fault ends the process."""
    return on_ground_with_stripe(lambda ground, transport: work(ground.operations(), transport))


def on_ground_with_stripe(work: Callable[[Ground, StripeTransport], Awaitable[T]]) -> T:
    """The same for work on the database itself, such as a reconcile run."""
    stripe = told(settings.read_stripe)

    async def run(ground: Ground) -> T:
        async with (
            SharedLimiter(ground.engine, stripe.max_rps) as limiter,
            StripeTransport(stripe, limiter, ground.clock) as transport,
        ):
            return await work(ground, transport)

    try:
        return on_ground(run)
    except UnpacedError as error:
        fail(f"{error.reason}: check DATABASE_URL and that Postgres runs")
    except KeyRefusedError as error:
        mend = (
            "billing stripe doctor says what it lacks" if error.forbidden else "was it rolled, or is it of elsewhere?"
        )
        fail(f"Stripe cannot be used: {error.reason}", mend)
    except StripeUnavailableError as error:
        fail(f"Stripe cannot be used now, try again: {error.reason}")
    except StripeRefusedError as error:
        fail(f"Stripe refused: {error}")
