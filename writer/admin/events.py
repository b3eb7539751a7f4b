"""`/api/v1/admin/{events,replay}`: what Stripe sent, what became of it, and having it applied again."""

from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from common.http import json_response
from common.problems import bad_request
from writer.admin.bodies import ReplayBody, time_of
from writer.api import parameters
from writer.api.bodies import Body
from writer.api.cursors import Cursor, Kind
from writer.api.project_answers import EventsAnswer, ReplayAnswer, WholeEventAnswer
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.operations import received
from writer.operations.operations import Operations
from writer.operations.received import EventFilter, EventStatus
from writer.refusals import UnknownError

_MOST_IDS: Final = 1_000
"""Of a replay's answer; the count is whole."""

_STATUS: Final = parameters.choices("status", EventStatus, "invalid_status", "What became of it; repeat it for several")
_TYPE: Final = parameters.text("type", "Stripe's type; `customer.*` means all that begin so")
_OBJECT: Final = parameters.text("object_id", "What the event is about")
_SINCE: Final = parameters.time("since", "Received then or later")
_UNTIL: Final = parameters.time("until", "Received before")


def _event_id(sent: str) -> str:
    if "\0" in sent:  # Postgres cannot be asked for it
        raise UnknownError("unknown_event", "no event's id holds the character U+0000")
    return sent


_EVENT: Final = parameters.in_path("event", _event_id, {"type": "string"}, "The event's id, evt_…")
_EVENTS: Final = Cursor("events", Kind.TEXT, page=50, most=received.MOST_ON_A_PAGE)


class EventRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations) -> None:
        self._auth = auth
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "GET", "/api/v1/admin/events", Access.ADMIN, Answer(HTTPStatus.OK, EventsAnswer),
        takes=(_STATUS, _TYPE, _OBJECT, _SINCE, _UNTIL, *_EVENTS.takes), tag="events",
        problems=("404 unknown_event",),
    )  # fmt: skip
    async def list(self, call: Call[None]) -> web.Response:
        """Events, those received last first."""
        chosen = EventFilter(call[_STATUS], call[_TYPE], call[_OBJECT], call[_SINCE], call[_UNTIL])
        after = call[_EVENTS.after]
        page = await self._operations.events.list(chosen, after[0] if after else None, call[_EVENTS.limit])
        following = None if page.next is None else _EVENTS.at(page.next)
        return json_response({"events": [received.to_json(one) for one in page.events], "next": following})

    @route(
        "GET", "/api/v1/admin/events/{event}", Access.ADMIN, Answer(HTTPStatus.OK, WholeEventAnswer),
        takes=(_EVENT,), problems=("404 unknown_event",), tag="events",
    )  # fmt: skip
    async def show(self, call: Call[None]) -> web.Response:
        """One event with its payload."""
        event, payload = await self._operations.events.find(call[_EVENT])
        return json_response({**received.to_json(event), "payload": payload})

    @route(
        "POST", "/api/v1/admin/replay", Access.ADMIN, Answer(HTTPStatus.OK, ReplayAnswer),
        body=Body(ReplayBody), tag="events",
        problems=("400 invalid_status", "400 invalid_time", "404 unknown_event", "409 event_not_ours"),
    )  # fmt: skip
    async def replay(self, call: Call[ReplayBody]) -> web.Response:
        """Make events pending again; with `dry_run` only say which."""
        body = call.body
        if body.event_id is not None:
            if body.dry_run or any((body.status, body.type, body.object_id, body.since, body.until)):
                raise bad_request("invalid_body", "name either event_id, or what describes many events")
            done = await self._operations.events.replay(body.event_id, call.actor, body.reason)
        else:
            chosen = _chosen(body)
            done = (
                await self._operations.events.count(chosen)
                if body.dry_run
                else await self._operations.events.replay_all(chosen, call.actor, body.reason)
            )
        answer: dict[str, Any] = {"events": len(done.ids), "objects": done.objects, "dry_run": body.dry_run}
        return json_response({**answer, "event_ids": done.ids[:_MOST_IDS]})


def _chosen(body: ReplayBody) -> EventFilter:
    statuses = [body.status] if isinstance(body.status, str) else body.status
    try:
        named = tuple(map(EventStatus, [EventStatus.PARKED] if statuses is None else statuses))
    except ValueError:
        raise bad_request("invalid_status", f"status must be one of {' '.join(EventStatus)}") from None
    return EventFilter(
        statuses=named,
        type=body.type or None,
        object_id=body.object_id or None,
        since=time_of("since", body.since or None),
        until=time_of("until", body.until or None),
    )
