"""`/api/v1/admin/projects/{p}/catalog`: what is declared of a project's catalogue."""

from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from common.http import json_response
from common.identifiers import ProjectId
from writer import bodies
from writer.api.bodies import Body
from writer.api.parameters import PROJECT_IN_PATH
from writer.api.project_answers import CatalogueAnswer, CatalogueChangedAnswer, CataloguePlanAnswer
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.parse import SCHEMA, Faults, project_catalog
from writer.operations import catalogue_plan, catalogue_view
from writer.operations.operations import Operations
from writer.refusals import InvalidError

_PATH: Final = "/api/v1/admin/projects/{project}/catalog"
_MAX_BYTES: Final = 1024 * 1024
_UNKNOWN: Final = ("404 unknown_project",)


def _declared(data: bytes) -> ProjectCatalog:
    faults = Faults()
    declared = project_catalog(bodies.decode(data, dict[str, Any]), "", faults)
    if faults.lines:
        raise InvalidError("invalid_catalog", "the catalogue was not taken", faults=tuple(faults.lines))
    return declared


_BODY: Final[Body[ProjectCatalog]] = Body(
    ProjectCatalog,
    limit=_MAX_BYTES,
    schema=SCHEMA,
    read=_declared,
    problems=("400 invalid_body", "400 invalid_catalog"),
)


class CatalogueRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations) -> None:
        self._auth = auth
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "GET", _PATH, Access.ADMIN, Answer(HTTPStatus.OK, CatalogueAnswer),
        takes=(PROJECT_IN_PATH,), problems=_UNKNOWN, tag="catalogue",
    )  # fmt: skip
    async def show(self, call: Call[None]) -> web.Response:
        """What was declared and what is in force."""
        return json_response(catalogue_view.to_json(await self._operations.catalogue(call[PROJECT_IN_PATH])))

    @route(
        "PUT", _PATH, Access.ADMIN, Answer(HTTPStatus.OK, CatalogueChangedAnswer),
        takes=(PROJECT_IN_PATH,), body=_BODY, problems=(*_UNKNOWN, "409 target_taken"), tag="catalogue",
    )  # fmt: skip
    async def replace(self, call: Call[ProjectCatalog]) -> web.Response:
        """Declare the whole catalogue, as in catalog.yaml. Stripe's part stays."""
        name = call[PROJECT_IN_PATH]
        applied = await self._operations.apply_catalogue(name, call.body, call.actor)
        view = await self._operations.catalogue(name)
        answer = {"changed": bool(applied.commits), "moved_prices": sorted(applied.moved_prices)}
        return json_response({**catalogue_view.to_json(view), **answer})

    @route(
        "POST", f"{_PATH}/plan", Access.ADMIN, Answer(HTTPStatus.OK, CataloguePlanAnswer),
        takes=(PROJECT_IN_PATH,), body=_BODY, problems=(*_UNKNOWN, "409 target_taken"), tag="catalogue",
    )  # fmt: skip
    async def plan(self, call: Call[ProjectCatalog]) -> web.Response:
        """What declaring the same body would do, before it happens. Nothing is locked and nothing kept."""
        project = ProjectId(call[PROJECT_IN_PATH])
        plans = await self._operations.plan_catalogues({project: call.body})
        return json_response(catalogue_plan.to_json(plans[project]))
