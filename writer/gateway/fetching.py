"""Work that must not wait for Stripe says so, and learns at its first request that it would have to."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_forbidden: Final = ContextVar("fetching_forbidden", default=False)


class FetchNeededError(Exception):
    """Stripe has to be asked, where that was not allowed: nothing was sent."""


@contextmanager
def without_fetches() -> Iterator[None]:
    """Within, also in tasks that are begun there, a request to Stripe raises FetchNeededError instead."""
    token = _forbidden.set(True)
    try:
        yield
    finally:
        _forbidden.reset(token)


def allow_or_raise() -> None:
    """Return where Stripe may be asked."""
    if _forbidden.get():
        raise FetchNeededError(FetchNeededError.__doc__)
