"""What a caller is told when Stripe is down or refuses."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from common.problems import Problem
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError, UnpacedError
from writer.unavailable import database_away

_log = logging.getLogger(__name__)

PROBLEMS: Final = ("422 stripe_refused", "503 stripe_unavailable")
"""What a request that asks Stripe can be answered with."""

_RETRY_AFTER: Final = 5.0
"""Seconds, where Stripe named none: long enough for a passing fault, short enough for a waiting payer."""


@contextmanager
def as_problems() -> Iterator[None]:
    """Turn Stripe's errors into problems: 503 `stripe_unavailable` with Retry-After, 422 `stripe_refused`.

    503 `database_unavailable` where nothing was sent because the database keeps the rate limit.
    """
    try:
        yield
    except UnpacedError as error:
        _log.warning("stripe is not asked for a request: %s", error.reason)
        raise database_away() from error
    except StripeUnavailableError as error:
        _log.warning("stripe is unavailable for a request: %s", error.reason)
        seconds = math.ceil(_RETRY_AFTER if error.retry_after is None else error.retry_after)
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "stripe_unavailable",
            f"Stripe cannot be used now; nothing was charged. Try again in {seconds} s.",
            headers={"Retry-After": str(max(1, seconds))},
        ) from error
    except StripeRefusedError as error:
        _log.warning("stripe refused a request code=%s param=%s", error.code, error.param)
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "stripe_refused",
            f"Stripe refuses this: {error.message}",
            stripe_code=error.code,
            stripe_param=error.param,
        ) from error
