"""Reading Stripe: one object, or a list page by page, as plain data with the moment that it tells of."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from common.clock import Instant
from writer.gateway.errors import StripeMissingError
from writer.gateway.rate_limit import Urgency
from writer.gateway.transport import Reply, StripeTransport

_PAGE: Final = 100

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What Stripe holds of one object; None where it answers that there is none.

    `as_of` is Stripe's time when the fetch began, in whole seconds. A deleted customer or product comes as
    `{"id", "object", "deleted": true}`.
    """

    object: Json | None
    as_of: Instant


class Pages:
    """Reads over a transport with one urgency. Raises StripeUnavailableError and StripeRefusedError only."""

    def __init__(self, transport: StripeTransport, urgency: Urgency) -> None:
        self._transport = transport
        self._urgency = urgency

    async def retrieve(self, path: str, params: Mapping[str, Any]) -> Fetched:
        """One object."""
        try:
            reply = await self._transport.call("get", path, params, self._urgency)
        except StripeMissingError as error:
            return Fetched(None, error.as_of)
        return Fetched(reply.body, reply.as_of)

    async def whole(self, path: str, params: Mapping[str, Any]) -> Fetched:
        """A whole list as one list object."""
        first = await self._page(path, params, None)
        await self.fill(first.body, path, params)
        return Fetched(first.body, first.as_of)

    async def fill(self, part: Json, path: str, params: Mapping[str, Any]) -> None:
        """Bring the rest of a list that came inside an object, which holds its first ten at most."""
        while part["has_more"]:
            reply = await self._page(path, params, _last(part["data"]))
            part["data"] += reply.body["data"]
            part["has_more"] = reply.body["has_more"]

    async def fill_lines(self, invoice: Json) -> None:
        """Bring the rest of an invoice's lines."""
        if invoice.get("lines") is not None:
            await self.fill(invoice["lines"], f"/v1/invoices/{escaped(invoice['id'])}/lines", {})

    async def each(
        self, path: str, params: Mapping[str, Any], starting_after: str | None = None
    ) -> AsyncIterator[Fetched]:
        """Each object of a list, from the newest on, or from behind the object `starting_after`."""
        more = True
        while more:
            reply = await self._page(path, params, starting_after)
            for one in reply.body["data"]:
                yield Fetched(one, reply.as_of)
            starting_after = _last(reply.body["data"])
            more = reply.body["has_more"] and starting_after is not None

    async def _page(self, path: str, params: Mapping[str, Any], after: str | None) -> Reply:
        behind = {} if after is None else {"starting_after": after}
        return await self._transport.call("get", path, {**params, "limit": _PAGE, **behind}, self._urgency)


def lines_of(session: Json) -> Json:
    """A session's list of lines; put there, empty, where it is left out: one that only keeps a card has none."""
    if session.get("line_items") is None:
        session["line_items"] = {"object": "list", "data": [], "has_more": False}
    lines: Json = session["line_items"]
    return lines


def escaped(id: str) -> str:  # noqa: A002 - Stripe's word
    """An id as one segment of a path, whatever it holds: it may come from a request."""
    return quote(id, safe="") if id.strip(".") else "_"


def _last(data: list[Json]) -> str | None:
    return data[-1]["id"] if data else None
