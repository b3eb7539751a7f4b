"""One request to Stripe: paced, timed, repeated where that is safe, answered as plain data."""

import asyncio
import logging
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Literal, Self

import aiohttp
import orjson
import stripe

from common import tracing
from common.clock import SECOND, Clock, Instant, from_datetime
from common.tracing import Kind
from writer.gateway.breaker import Breaker
from writer.gateway.errors import (
    RateLimitedError,
    StripeMissingError,
    StripeRefusedError,
    StripeUnavailableError,
    translate,
)
from writer.gateway.fetching import allow_or_raise
from writer.gateway.rate_limit import RateLimiter, Urgency
from writer.settings import StripeSettings

_log = logging.getLogger(__name__)

API_VERSION: Final = "2026-10-28.endive"
"""What our requests ask for and our reading knows; an SDK that pins another does not change it."""

_SLOW_DOWN: Final = 1.0
_LONGEST_SLOW_DOWN: Final = 60.0


class Outcome(StrEnum):
    """What became of one request; each try counts."""

    ANSWERED = "answered"
    REFUSED = "refused"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"


Method = Literal["get", "post", "delete"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long Stripe is waited for. Seconds."""

    connect: float = 5.0
    answer: float = 10.0
    """One try, from sending to the last byte."""
    tries: int = 3
    pause: float = 0.3
    """Before the second try; it doubles, with jitter."""
    again: float = 8.0
    """No further try begins later than this after the first: a payer's browser, or a proxy, gives up at 30."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer. `as_of` is when Stripe began to make it, by Stripe's own clock, in whole seconds."""

    body: dict[str, Any]
    as_of: Instant


_WORDS: Final = frozenset(
    {
        "account", "billing_portal", "charges", "checkout", "configurations", "customers", "disputes", "events",
        "expire", "features", "invoice_payments", "invoices", "line_items", "lines", "payment_intents", "prices",
        "products", "refunds", "sessions", "subscription_items", "subscriptions", "v1", "v2", "webhook_endpoints",
    }
)  # fmt: skip


def operation_of(method: Method, path: str) -> str:
    """The request without what it names, such as `GET /v1/prices/{id}`: there are only so many of them."""
    parts = (part if part in _WORDS else "{id}" for part in path.split("/")[1:])
    return f"{method.upper()} /{'/'.join(parts)}"


class StripeTransport:
    """Stripe's API over the official SDK; use as an async context manager or `close` it."""

    def __init__(
        self, settings: StripeSettings, limiter: RateLimiter, clock: Clock, patience: Patience | None = None
    ) -> None:
        self._limiter = limiter
        self._clock = clock
        self.outcomes: Counter[tuple[str, Outcome]] = Counter()
        """Tries, by operation, such as `GET /v1/prices/{id}`, and what became of them."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """How long tries of an operation took in all."""
        self.limits: Counter[str] = Counter()
        """Answers 429, by the limit that Stripe names."""
        self.breaker = Breaker(random.Random(), clock.monotonic)  # noqa: S311 - spreads writers
        self._limited_in_a_row = 0
        self._slow_until = 0.0
        self._patience = patience or Patience()
        timeout = aiohttp.ClientTimeout(total=self._patience.answer, sock_connect=self._patience.connect)
        self._http = stripe.AIOHTTPClient(timeout=timeout)
        # The SDK joins base and path as texts: a path in the base works, a slash at its end would be doubled.
        base = {} if settings.api_base is None else {"api": settings.api_base.rstrip("/")}
        self._client = stripe.StripeClient(
            settings.secret_key.reveal(),
            stripe_version=API_VERSION,
            base_addresses=base,  # type: ignore[arg-type]  # a TypedDict in the SDK
            http_client=self._http,
            # We repeat ourselves: each try has to be paced, and the SDK neither waits for its turn nor for Retry-After.
            max_network_retries=0,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def call(
        self,
        method: Method,
        path: str,
        params: Mapping[str, Any],
        urgency: Urgency,
        idempotency_key: str | None = None,
    ) -> Reply:
        """Send one request; what writes carries an idempotency key, so that repeating it does nothing twice.

        Raises:
            StripeUnavailableError: No good answer after all tries, or none to be had now.
            StripeRefusedError: Stripe refuses the request.
        """
        allow_or_raise()
        options: dict[str, Any] = {}
        if method == "post":
            options["idempotency_key"] = idempotency_key or str(uuid.uuid4())
        pause = self._patience.pause
        time = asyncio.get_running_loop().time
        until = time() + self._patience.again
        for left in reversed(range(self._patience.tries)):
            try:
                return await self._paced(method, path, {**params, **options}, urgency)
            except StripeUnavailableError as error:
                if not error.repeatable or not left or time() > until:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause *= 2
        raise AssertionError("a try either answers or raises")

    async def _paced(self, method: Method, path: str, params: dict[str, Any], urgency: Urgency) -> Reply:
        """One try, once its turn has come."""
        if urgency is not Urgency.PAYER:
            self.breaker.admit()
        operation = operation_of(method, path)
        async with self._limiter.turn(urgency):
            sent_at = asyncio.get_running_loop().time()
            try:
                with tracing.span(f"Stripe {operation}", Kind.CLIENT):
                    reply = await self._once(method, path, params)
            except StripeRefusedError:
                self._note(operation, Outcome.REFUSED)
                raise
            except RateLimitedError as error:
                self._note(operation, Outcome.LIMITED)
                self._slow_down(error, sent_at)
                raise
            except StripeUnavailableError as error:
                self.outcomes[operation, Outcome.UNAVAILABLE] += 1
                if error.repeatable:
                    self.breaker.failed(error.reason)
                raise
            finally:
                self.seconds[operation] += asyncio.get_running_loop().time() - sent_at
            self._note(operation, Outcome.ANSWERED)
            return reply

    def _note(self, operation: str, outcome: Outcome) -> None:
        """Stripe answered."""
        self.outcomes[operation, outcome] += 1
        self.breaker.worked()
        if outcome is not Outcome.LIMITED:
            self._limited_in_a_row = 0

    def _slow_down(self, error: RateLimitedError, sent_at: float) -> None:
        """Let background work wait, everywhere: as long as Stripe asks, longer where that did not help."""
        limit = error.limit or "unnamed"
        self.limits[limit] += 1
        if not error.account_wide:
            _log.info("Stripe limits requests about one object limit=%s", limit)
            return
        # What was sent before the pause was over, with others or for a payer, does not tell that it was too short.
        if sent_at >= self._slow_until:
            self._limited_in_a_row += 1
        grown = _SLOW_DOWN * 2.0 ** min(max(self._limited_in_a_row - 1, 0), 10)
        seconds = min(max(grown, error.retry_after or 0.0), _LONGEST_SLOW_DOWN)
        self._slow_until = max(self._slow_until, asyncio.get_running_loop().time() + seconds)
        _log.warning("Stripe limits our rate limit=%s background_waits=%.1f", limit, seconds)
        self._limiter.slow_down(seconds)

    async def _once(self, method: Method, path: str, params: dict[str, Any]) -> Reply:
        began = self._clock.monotonic()
        try:
            response = await self._client.raw_request_async(method, path, **params)
            body = orjson.loads(response.body)
        except stripe.StripeError as error:
            ours = translate(error)
            if isinstance(ours, StripeMissingError):
                ours.as_of = self._as_of(error.headers or {}, began)
            raise ours from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The SDK translates what fails before the body, not what fails while it is read.
            raise StripeUnavailableError(f"no answer ({type(error).__name__})", repeatable=True) from None
        return Reply(body, self._as_of(response.headers, began))

    def _as_of(self, headers: Mapping[str, str], began: float) -> Instant:
        # `Date` is stamped when the answer is made; what it tells may be older by all the time that the request
        # took. Without the header our own clock stands in.
        took = self._clock.monotonic() - began
        stamped = next((value for key, value in headers.items() if key.lower() == "date"), None)
        end = self._clock.now() if stamped is None else from_datetime(parsedate_to_datetime(stamped))
        return Instant(end // SECOND * SECOND - int(took) * SECOND)
