"""What can go wrong with Stripe, in our own words: the SDK's errors end here."""

import re
from collections.abc import Sequence
from typing import Final

import stripe

from common.clock import Instant

_TOO_MANY: Final = 429
_FORBIDDEN: Final = 403
_CONFLICT: Final = 409
_SERVER_FAULT: Final = 500
_NOT_FOUND: Final = 404
_MISSING_CODE: Final = "resource_missing"
_MOST_RETRY_AFTER: Final = 3_600.0
_LOCKED: Final = "lock_timeout"
_PERMISSION: Final = re.compile(r"\brak_[a-z_]{1,80}")
_LIMITS_OF_ONE_OBJECT: Final = frozenset({_LOCKED, "resource-specific"})


class GatewayError(Exception):
    """Stripe did not do what it was asked to do."""


class StripeUnavailableError(GatewayError):
    """Stripe cannot be used now: unreachable, slow, rate-limited, faulty, or refusing our key. Ask again later.

    `retry_after` is in seconds; None where Stripe did not say.
    """

    def __init__(self, reason: str, retry_after: float | None = None, *, repeatable: bool = False) -> None:
        super().__init__(f"Stripe is unavailable: {reason}")
        self.reason = reason
        self.retry_after = retry_after
        self.repeatable = repeatable
        """Whether the same request may do better a moment later."""


class RateLimitedError(StripeUnavailableError):
    """Stripe wants fewer requests. `limit` is Stripe's name of the limit that was reached, where it gave one."""

    def __init__(self, limit: str | None, retry_after: float | None, *, repeatable: bool = False) -> None:
        named = "" if limit is None else f" ({limit})"
        super().__init__(f"its rate limit is reached{named}", retry_after, repeatable=repeatable)
        self.limit = limit

    @property
    def account_wide(self) -> bool:
        """Whether it meets every request, and not only those about one object."""
        return self.limit not in _LIMITS_OF_ONE_OBJECT


class KeyRefusedError(StripeUnavailableError):
    """Stripe does not take the key: 401 at all, 403 for this request. The operator has to mend it."""

    def __init__(self, status: int, permissions: Sequence[str] = ()) -> None:
        lacks = f": it lacks {' or '.join(permissions)}" if permissions else ""
        super().__init__(f"it refuses STRIPE_SECRET_KEY for this request ({status}{lacks})")
        self.forbidden = status == _FORBIDDEN
        """The key is good, and lacks this permission."""
        self.permissions = tuple(permissions)
        """Any of which would do, as Stripe names them (`rak_customer_read`); empty where it names none."""


class UnpacedError(StripeUnavailableError):
    """Nothing was sent: the database, which keeps all writers within STRIPE_MAX_RPS, does not answer."""

    def __init__(self) -> None:
        super().__init__("nothing was sent, as the database that keeps the rate limit does not answer", repeatable=True)


class StripeRefusedError(GatewayError):
    """Stripe understood the request and refuses it; asking again does not help.

    `code` is Stripe's (`resource_missing`, `idempotency_error` …), `param` the parameter that it names.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(f"Stripe refuses the request ({code}): {message}")
        self.code = code
        self.message = message
        self.param = param


class StripeMissingError(StripeRefusedError):
    """What the request's path names does not exist, as of `as_of` by Stripe's clock."""

    as_of: Instant = Instant(0)


def translate(error: stripe.StripeError) -> GatewayError:
    """The SDK's error as ours. Nothing of the request, its headers or its key is taken over."""
    status = error.http_status
    if isinstance(error, stripe.APIConnectionError) or status is None:
        # The SDK's own text is a paragraph of advice; the cause's name is what helps.
        cause = type(error.__cause__ or error).__name__
        return StripeUnavailableError(f"no answer ({cause})", repeatable=True)
    if status == _TOO_MANY:
        return _limited(error)
    if status == _CONFLICT or status >= _SERVER_FAULT:
        told = _header(error, "stripe-should-retry")
        return StripeUnavailableError(f"it answers {status}", _retry_after(error), repeatable=told != "false")
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        # Stripe's text repeats a part of the key; and the operator has to mend it, so that the work may wait.
        return KeyRefusedError(status, _PERMISSION.findall(error.user_message or ""))
    if isinstance(error, stripe.APIError):
        return StripeUnavailableError(f"what answers ({status}) is not Stripe: is STRIPE_API_BASE right?")
    return _refused(error, status)


def _limited(error: stripe.StripeError) -> RateLimitedError:
    # Two requests about one object met (`lock_timeout`): a moment later the same one passes.
    if error.code == _LOCKED:
        return RateLimitedError(_LOCKED, _retry_after(error), repeatable=True)
    return RateLimitedError(_header(error, "stripe-rate-limited-reason"), _retry_after(error))


def _refused(error: stripe.StripeError, status: int) -> StripeRefusedError:
    # A wrong base address answers 404 too, and must not make everything look deleted.
    missing = status == _NOT_FOUND and error.code == _MISSING_CODE
    kind = StripeMissingError if missing else StripeRefusedError
    code = error.code or ("idempotency_error" if isinstance(error, stripe.IdempotencyError) else "invalid_request")
    param = getattr(error, "param", None)
    return kind(code, error.user_message or "no reason given", param)


def _retry_after(error: stripe.StripeError) -> float | None:
    text = _header(error, "retry-after")
    if text is None or not text.isdecimal():
        return None
    return min(float(text), _MOST_RETRY_AFTER)


def _header(error: stripe.StripeError, name: str) -> str | None:
    return next((value for key, value in (error.headers or {}).items() if key.lower() == name), None)
