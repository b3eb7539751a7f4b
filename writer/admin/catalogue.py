"""`/api/v1/admin/projects/{p}/catalog`: what is declared of a project's catalogue."""

from typing import Any, Final

from aiohttp import web

from common.http import json_response
from common.identifiers import ProjectId
from writer.auth import Authenticator
from writer.bodies import read_body
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.parse import Faults, project_catalog
from writer.operations import catalogue_plan, catalogue_view
from writer.operations.operations import Operations
from writer.refusals import InvalidError, answered

_PATH: Final = "/api/v1/admin/projects/{project}/catalog"
_MAX_BYTES: Final = 1024 * 1024


class CatalogueRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations) -> None:
        self._auth = auth
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get(_PATH, answered(self.show)),
            web.put(_PATH, answered(self.replace)),
            web.post(f"{_PATH}/plan", answered(self.plan)),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """What was declared and what is in force."""
        await self._auth.admin(request)
        view = await self._operations.catalogue(request.match_info["project"])
        return json_response(catalogue_view.to_json(view))

    async def replace(self, request: web.Request) -> web.Response:
        """Declare the whole catalogue: `{"features": …, "plans": …}` as in catalog.yaml. Stripe's part stays."""
        actor = await self._auth.admin(request)
        declared = await _declared(request)
        applied = await self._operations.apply_catalogue(request.match_info["project"], declared, actor)
        view = await self._operations.catalogue(request.match_info["project"])
        answer = {"changed": bool(applied.commits), "moved_prices": sorted(applied.moved_prices)}
        return json_response({**catalogue_view.to_json(view), **answer})

    async def plan(self, request: web.Request) -> web.Response:
        """What `replace` would do with the same body, before it happens. Nothing is locked and nothing kept."""
        await self._auth.admin(request)
        project = ProjectId(request.match_info["project"])
        plans = await self._operations.plan_catalogues({project: await _declared(request)})
        return json_response(catalogue_plan.to_json(plans[project]))


async def _declared(request: web.Request) -> ProjectCatalog:
    body = await read_body(request, dict[str, Any], limit=_MAX_BYTES)
    faults = Faults()
    declared = project_catalog(body, "", faults)
    if faults.lines:
        raise InvalidError("invalid_catalog", "the catalogue was not taken", faults=tuple(faults.lines))
    return declared
