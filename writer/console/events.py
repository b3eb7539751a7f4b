"""Events: found, looked at, replayed."""

from urllib.parse import urlencode

from aiohttp import web

from common.problems import bad_request
from writer.console.confirm import Ask, ask, is_confirmed
from writer.console.forms import Form, Refusal, query_form
from writer.console.guard import actor_of, to
from writer.console.pages import FORM, Pages
from writer.operations.operations import Operations
from writer.operations.received import EventFilter, EventStatus

_PAGE = 50
_FILTER = ("status", "type", "object_id", "since", "until")


class EventPages:
    """Pages about what Stripe sent."""

    def __init__(self, pages: Pages, operations: Operations) -> None:
        self._pages = pages
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/events", self.list),
            web.get("/events/replay", self.ask_to_replay),
            web.post("/events/replay", self.replay),
            web.get("/events/{event}", self.show),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Those received last first."""
        form = query_form(request)
        try:
            page = await self._operations.events.list(_filter(form), form.get("after") or None, _PAGE)
        except Refusal as error:
            form = form.refused(error)
            return self._pages.render(request, "events.html", form.status, form=form, page=None, asked="")
        return self._pages.render(request, "events.html", form=form, page=page, asked=_asked(form))

    async def show(self, request: web.Request) -> web.Response:
        """One event with its payload."""
        event, payload = await self._operations.events.find(request.match_info["event"])
        return self._pages.render(request, "event.html", event=event, payload=payload)

    async def ask_to_replay(self, request: web.Request) -> web.Response:
        """Show which would be pending again."""
        return await self._ask(request, query_form(request))

    async def replay(self, request: web.Request) -> web.StreamResponse:
        """Have one event, or all that the filter means, applied again."""
        form, reason = request[FORM], request[FORM].get("reason") or None
        event_id = form.get("event_id")
        if not is_confirmed(form):
            return await self._ask(request, form)
        try:
            if event_id:
                await self._operations.events.replay(event_id, actor_of(request), reason)
                return to(f"events/{event_id}", done="replayed")
            await self._operations.events.replay_all(_filter(form), actor_of(request), reason)
        except Refusal as error:
            return await self._ask(request, form.refused(error))
        return to("events", **{name: form.get(name) for name in _FILTER if form.get(name)}, done="replayed")

    async def _ask(self, request: web.Request, form: Form) -> web.Response:
        event_id = form.get("event_id")
        values: dict[str, str | None]
        if event_id:
            event, _ = await self._operations.events.find(event_id)
            lines = [f"{event.id}, {event.type} of {event.object_id or 'nothing of ours'}, is pending again"]
            values, back = {"event_id": event_id}, f"events/{event_id}"
        else:
            found = await self._operations.events.count(_filter(form))
            lines = [f"{len(found.ids):,} events of {found.objects:,} objects are pending again"]
            values, back = {name: form.get(name) for name in _FILTER}, f"events?{_asked(form)}"
        lines.append("Each object is fetched from Stripe and applied as it is now, however old the event is")
        lines.append("Events that are not ours stay as they are; replaying too much does no harm")
        question = Ask("Replay?", lines, "Replay", "events/replay", back, values, reason="optional", takes_away=False)
        return ask(self._pages, request, question, form)


def _asked(form: Form) -> str:
    """The filter as a query."""
    return urlencode({name: form.get(name) for name in _FILTER if form.get(name)})


def _filter(form: Form) -> EventFilter:
    status = form.get("status")
    try:
        statuses = (EventStatus(status),) if status else ()
    except ValueError:
        raise bad_request("invalid_status", f"status must be one of {' '.join(EventStatus)}") from None
    return EventFilter(
        statuses, form.get("type") or None, form.get("object_id") or None, form.time("since"), form.time("until")
    )
