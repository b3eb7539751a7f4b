"""Reconcile runs: begun, and looked at."""

from typing import Final

from aiohttp import web

from common.problems import bad_request
from writer.console.forms import is_number, query_form
from writer.console.guard import actor_of, to
from writer.console.pages import FORM, Pages
from writer.reconcile.requests import ReconcileRequests, report_to_json, run_to_json

_PAGE: Final = 20
_FINDINGS: Final = 200
_COUNTS: Final = ("checked", "repaired", "unknown_here", "unknown_in_stripe", "unassigned", "failed")


class ReconcilePages:
    """The list, and each run's report."""

    def __init__(self, pages: Pages, requests: ReconcileRequests) -> None:
        self._pages = pages
        self._requests = requests

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/reconcile", self.list),
            web.post("/reconcile", self.begin),
            web.get("/reconcile/{run}", self.show),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """The newest first."""
        before = query_form(request).get("before")
        runs = await self._requests.recent(_PAGE, _id(before) if before else None)
        older = runs[-1].id if len(runs) == _PAGE else None
        shown = [run_to_json(run) for run in runs]
        return self._pages.render(request, "reconcile.html", runs=shown, before=older, counts=_COUNTS)

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """Have a run worked on, which may be one that is open already: it only ever brings back what Stripe says."""
        run = await self._requests.begin(actor_of(request), full=request[FORM].get("full") == "yes")
        return to(f"reconcile/{run.id}")

    async def show(self, request: web.Request) -> web.Response:
        """A run with its findings."""
        report = await self._requests.report(_id(request.match_info["run"]), _FINDINGS)
        return self._pages.render(request, "run.html", run=report_to_json(report), counts=_COUNTS)


def _id(text: str) -> int:
    if not is_number(text):
        raise bad_request("invalid_run_id", "a run is named by its id, a whole number")
    return int(text)
