"""Stripe's list of events: what it sent, or would have sent, in the last thirty days. Thin events are not on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from common.clock import SECOND, Instant
from writer.domain.stripe.kinds import KIND_OF_TYPE
from writer.gateway.pages import Json
from writer.gateway.rate_limit import Urgency
from writer.gateway.transport import StripeTransport

_PAGE: Final = 100
_MOST_TYPES: Final = 20
"""Names that Stripe takes in one request."""

TYPES: Final[Sequence[Sequence[str]]] = tuple(
    tuple(sorted(KIND_OF_TYPE))[at : at + _MOST_TYPES] for at in range(0, len(KIND_OF_TYPE), _MOST_TYPES)
)
"""Every type that is applied, in as many lists as it takes."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events, the newest first, each in the API version that it was made with.

    `as_of`: Stripe's time when reading it began, in whole seconds. `next`: behind which event the next page begins;
    None: this is the last one.
    """

    events: Sequence[Json]
    as_of: Instant
    next: str | None


class StripeEvents:
    """The list over a transport. Raises StripeUnavailableError and StripeRefusedError only."""

    def __init__(self, transport: StripeTransport) -> None:
        self._transport = transport

    async def page(
        self, types: Sequence[str], since: Instant, until: Instant | None = None, after: str | None = None
    ) -> EventPage:
        """Up to a hundred events of `types`, created from `since` on and, where given, before `until`."""
        created = {"gte": since // SECOND, **({} if until is None else {"lt": until // SECOND})}
        params: dict[str, Any] = {"types": list(types), "created": created, "limit": _PAGE}
        if after is not None:
            params["starting_after"] = after
        reply = await self._transport.call("get", "/v1/events", params, Urgency.BACKGROUND)
        events: list[Json] = reply.body["data"]
        more = reply.body["has_more"] and bool(events)
        return EventPage(events, reply.as_of, events[-1]["id"] if more else None)
