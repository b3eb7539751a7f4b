"""`/api/v1/admin/{events,replay}`: what Stripe sent, what became of it, and having it applied again."""

from typing import Any, Final

from aiohttp import web

from common.http import json_response
from common.problems import bad_request
from writer.admin.bodies import ReplayBody, time_of
from writer.auth import Authenticator
from writer.bodies import read_body
from writer.operations import received
from writer.operations.operations import Operations
from writer.operations.received import EventFilter, EventStatus
from writer.refusals import answered

_PAGE: Final = 50
_MOST_IDS: Final = 1_000
"""Of a replay's answer; the count is whole."""


class EventRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations) -> None:
        self._auth = auth
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/api/v1/admin/events", answered(self.list)),
            web.get("/api/v1/admin/events/{event}", answered(self.show)),
            web.post("/api/v1/admin/replay", answered(self.replay)),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Those received last first; `next` goes into `after` for the following page."""
        await self._auth.admin(request)
        query = request.query
        chosen = _filter(
            query.getall("status", []),
            query.get("type"),
            query.get("object_id"),
            query.get("since"),
            query.get("until"),
        )
        page = await self._operations.events.list(chosen, query.get("after") or None, _limit(query.get("limit")))
        return json_response({"events": [received.to_json(one) for one in page.events], "next": page.next})

    async def show(self, request: web.Request) -> web.Response:
        """One event with its payload."""
        await self._auth.admin(request)
        event, payload = await self._operations.events.find(request.match_info["event"])
        return json_response({**received.to_json(event), "payload": payload})

    async def replay(self, request: web.Request) -> web.Response:
        """Make events pending again; with `dry_run` only say which."""
        actor = await self._auth.admin(request)
        body = await read_body(request, ReplayBody)
        if body.event_id is not None:
            if body.dry_run or any((body.status, body.type, body.object_id, body.since, body.until)):
                raise bad_request("invalid_body", "name either event_id, or what describes many events")
            done = await self._operations.events.replay(body.event_id, actor, body.reason)
        else:
            statuses = [body.status] if isinstance(body.status, str) else body.status
            named = [EventStatus.PARKED.value] if statuses is None else statuses
            chosen = _filter(named, body.type, body.object_id, body.since, body.until)
            done = (
                await self._operations.events.count(chosen)
                if body.dry_run
                else await self._operations.events.replay_all(chosen, actor, body.reason)
            )
        answer: dict[str, Any] = {"events": len(done.ids), "objects": done.objects, "dry_run": body.dry_run}
        return json_response({**answer, "event_ids": done.ids[:_MOST_IDS]})


def _filter(
    statuses: list[str], event_type: str | None, object_id: str | None, since: str | None, until: str | None
) -> EventFilter:
    try:
        named = tuple(EventStatus(status) for status in statuses)
    except ValueError:
        raise bad_request("invalid_status", f"status must be one of {' '.join(EventStatus)}") from None
    return EventFilter(
        statuses=named,
        type=event_type or None,
        object_id=object_id or None,
        since=time_of("since", since or None),
        until=time_of("until", until or None),
    )


def _limit(text: str | None) -> int:
    if text is None:
        return _PAGE
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(received.MOST_ON_A_PAGE))):
        raise bad_request("invalid_limit", f"limit must be a whole number from 1 to {received.MOST_ON_A_PAGE}")
    return int(text)
