"""The first page: what waits for an operator, and how the whole stands."""

from typing import Final

from aiohttp import web

from common.clock import Clock, format_time
from writer.console.pages import Pages
from writer.console.revenue import by_currency
from writer.console.standing import every_standing
from writer.operations import figures
from writer.operations.operations import Operations
from writer.operations.sidecars import SidecarDirectory

_STATES: Final = ("active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled", "ending")


class OverviewPage:
    """One page."""

    def __init__(self, pages: Pages, operations: Operations, directory: SidecarDirectory, clock: Clock) -> None:
        self._pages = pages
        self._clock = clock
        self._operations = operations
        self._directory = directory

    def routes(self) -> list[web.RouteDef]:
        """What this handler answers."""
        return [web.get("", self.show), web.get("/", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """The overview."""
        now = await self._operations.views.overview()
        asked = figures.period(None, None, self._clock.now())
        found = await self._operations.figures(asked)
        projects = await self._operations.list_projects()
        groups = await every_standing(self._operations, self._directory, projects)
        return self._pages.render(
            request,
            "overview.html",
            now=now,
            states=_STATES,
            figures=found,
            revenue=by_currency(found, asked),
            sidecars=sum(len(group.sidecars) for group in groups),
            behind=sum(group.out_of_step for group in groups),
            away=any(group.away for group in groups),
            received=[(format_time(hour.begins)[11:16], float(hour.received)) for hour in now.hours],
            lag=[(format_time(hour.begins)[11:16], hour.lag) for hour in now.hours],
        )
