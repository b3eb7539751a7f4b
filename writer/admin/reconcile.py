"""`/api/v1/admin/reconcile`: have everything compared with Stripe, and see what came of it."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from msgspec import Struct

from common.http import json_response
from writer.api import parameters
from writer.api.bodies import Body
from writer.api.cursors import Cursor, Kind
from writer.api.operator_answers import ReportAnswer, RunAnswer, RunsAnswer
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.reconcile.findings import FindingKind
from writer.reconcile.requests import MOST_RUNS, ReconcileRequests, report_to_json, run_to_json

_PATH: Final = "/api/v1/admin/reconcile"
_RUNS: Final = Cursor("runs", Kind.ID, page=20, most=MOST_RUNS)
_RUN: Final = parameters.row_id("run", "invalid_run_id", "a run")
_KIND: Final = parameters.choice("finding", FindingKind, "invalid_finding", "Only findings of this kind")
_MOST: Final = parameters.whole("limit", 1, 1_000, 100, "invalid_limit", "How many findings of each kind at most")


class ReconcileBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`full`: list also what is long over."""

    full: bool = False


class ReconcileRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, requests: ReconcileRequests) -> None:
        self._auth = auth
        self._requests = requests

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "POST", _PATH, Access.ADMIN, Answer(HTTPStatus.ACCEPTED, RunAnswer),
        body=Body(ReconcileBody, required=False), tag="reconcile",
    )  # fmt: skip
    async def begin(self, call: Call[ReconcileBody]) -> web.Response:
        """Have a run worked on in the background: the new one, or one that is open already."""
        run = await self._requests.begin(call.actor, full=call.body.full)
        return json_response(run_to_json(run), HTTPStatus.ACCEPTED, headers={"Location": f"{_PATH}/{run.id}"})

    @route("GET", _PATH, Access.ADMIN, Answer(HTTPStatus.OK, RunsAnswer), takes=_RUNS.takes, tag="reconcile")
    async def list(self, call: Call[None]) -> web.Response:
        """Runs, the newest first."""
        after, limit = call[_RUNS.after], call[_RUNS.limit]
        found = await self._requests.recent(limit + 1, after[0] if after else None)
        page = _RUNS.page(found, limit, lambda run: (run.id,))
        return json_response({"runs": [run_to_json(run) for run in page.rows], "next": page.next})

    @route(
        "GET", f"{_PATH}/{{run}}", Access.ADMIN, Answer(HTTPStatus.OK, ReportAnswer),
        takes=(_RUN, _KIND, _MOST), problems=("404 unknown_run",), tag="reconcile",
    )  # fmt: skip
    async def show(self, call: Call[None]) -> web.Response:
        """A run with its findings."""
        return json_response(report_to_json(await self._requests.report(call[_RUN], call[_MOST], call[_KIND])))
