"""`/api/v1/admin/reconcile`: have everything compared with Stripe, and see what came of it."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from msgspec import Struct

from common.http import json_response
from common.problems import bad_request
from writer.auth import Authenticator
from writer.bodies import decode, read_body
from writer.reconcile.findings import FindingKind
from writer.reconcile.requests import MOST_RUNS, ReconcileRequests, report_to_json, run_to_json
from writer.refusals import answered

_PATH: Final = "/api/v1/admin/reconcile"
_FINDINGS: Final = 100
_MOST_FINDINGS: Final = 1_000
_MAX_ID: Final = 2**63 - 1


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
        return [
            web.post(_PATH, answered(self.begin)),
            web.get(_PATH, answered(self.list)),
            web.get(f"{_PATH}/{{run}}", answered(self.show)),
        ]

    async def begin(self, request: web.Request) -> web.Response:
        """Have a run worked on in the background: 202 with the run, which may be one that is open already."""
        actor = await self._auth.admin(request)
        body = await read_body(request, ReconcileBody) if request.can_read_body else decode(b"{}", ReconcileBody)
        run = await self._requests.begin(actor, full=body.full)
        return json_response(run_to_json(run), HTTPStatus.ACCEPTED, headers={"Location": f"{_PATH}/{run.id}"})

    async def list(self, request: web.Request) -> web.Response:
        """The last runs, the newest first; `?before=` pages on."""
        await self._auth.admin(request)
        before = request.query.get("before")
        found = await self._requests.recent(_number(request, "limit", 20, MOST_RUNS), _id(before) if before else None)
        return json_response({"runs": [run_to_json(run) for run in found]})

    async def show(self, request: web.Request) -> web.Response:
        """A run with its findings; `?finding=` for one kind only."""
        await self._auth.admin(request)
        kind = _kind(request.query.get("finding"))
        most = _number(request, "limit", _FINDINGS, _MOST_FINDINGS)
        return json_response(report_to_json(await self._requests.report(_id(request.match_info["run"]), most, kind)))


def _kind(text: str | None) -> FindingKind | None:
    if not text:
        return None
    try:
        return FindingKind(text)
    except ValueError:
        raise bad_request("invalid_finding", f"finding must be one of {' '.join(FindingKind)}") from None


def _id(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_MAX_ID)) or int(text) > _MAX_ID:
        raise bad_request("invalid_run_id", "a run is named by its id, a whole number; list the runs to see it")
    return int(text)


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(most)) or not 1 <= int(text) <= most:
        raise bad_request("invalid_limit", f"{name} must be a whole number from 1 to {most}")
    return int(text)
