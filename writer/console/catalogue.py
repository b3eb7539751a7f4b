"""Catalogues: what is in force, what it was, and an edit, whose effect is shown before it is put in force."""

from dataclasses import dataclass

from aiohttp import web

from common.identifiers import ProjectId
from common.problems import bad_request
from writer.catalogue import yaml
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.yaml import CatalogFileError
from writer.console.confirm import is_confirmed
from writer.console.forms import Form, Refusal, is_number, query_form
from writer.console.guard import actor_of, to
from writer.console.pages import FORM, Pages
from writer.operations import catalogue_plan, catalogue_view
from writer.operations.catalogue_plan import Plan
from writer.operations.operations import Operations
from writer.refusals import ConflictError, InvalidError


@dataclass(frozen=True, slots=True)
class _Edit:
    """What the page shows beside the catalogue in force: a text, where it comes from, what it would do."""

    text: str | None = None
    shown: int | None = None
    plan: Plan | None = None


class CataloguePages:
    """The list, and each project's catalogue."""

    def __init__(self, pages: Pages, operations: Operations) -> None:
        self._pages = pages
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/catalogue", self.list),
            web.get("/catalogue/{project}", self.show),
            web.post("/catalogue/{project}", self.edit),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Every project, and the jobs that edits made."""
        projects, jobs = await self._operations.list_projects(), await self._operations.jobs.recent()
        return self._pages.render(request, "catalogues.html", projects=projects, jobs=jobs)

    async def show(self, request: web.Request) -> web.Response:
        """What is declared, or was in `?version=`."""
        text = query_form(request).get("version")
        if not text:
            return await self._page(request, Form(), _Edit())
        if not is_number(text):
            raise bad_request("unknown_version", "version must be a catalogue version's number")
        name, version = request.match_info["project"], int(text)
        declared = await self._operations.views.declared_in(name, version)
        return await self._page(request, Form(), _Edit(_text(declared), version))

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """First what the edit would do, then, confirmed, the edit."""
        form, name = request[FORM], ProjectId(request.match_info["project"])
        try:
            declared = _declared(form, name)
            if is_confirmed(form) and await self._is_as_shown(form, name):
                applied = await self._operations.apply_catalogue(name, declared, actor_of(request))
                return to(f"catalogue/{name}", done="catalogue" if applied.commits else "catalogue_same")
            plans = await self._operations.plan_catalogues({name: declared})
        except Refusal as error:
            return await self._page(request, form.refused(error), _Edit(form.get("catalog")))
        return await self._page(request, form, _Edit(form.get("catalog"), plan=plans[name]))

    async def _is_as_shown(self, form: Form, name: ProjectId) -> bool:
        """Whether what was confirmed was the effect on the catalogue that is in force now."""
        project = await self._operations.project(name)
        if form.get("version") == str(project.catalog_version):
            return True
        detail = "the catalogue was changed meanwhile: look at what the edit would do now"
        raise ConflictError("changed_meanwhile", detail)

    async def _page(self, request: web.Request, form: Form, edit: _Edit) -> web.Response:
        name, plan = request.match_info["project"], edit.plan
        view = await self._operations.catalogue(name)
        return self._pages.render(
            request,
            "catalogue.html",
            form.status,
            form=form,
            project=view.project,
            view=view,
            version=view.project.catalog_version,
            text=_text(view.declared) if edit.text is None else edit.text,
            shown=edit.shown,
            plan=plan,
            summary="" if plan is None else catalogue_plan.summary(plan),
            sentences=[] if plan is None else catalogue_plan.sentences(plan),
            versions=await self._operations.views.catalogue_versions(name),
        )


def _declared(form: Form, name: ProjectId) -> ProjectCatalog:
    try:
        return yaml.load_project(form.get("catalog"), name)
    except CatalogFileError as error:
        raise InvalidError("invalid_catalog", "the catalogue was not taken", faults=tuple(error.faults)) from error


def _text(declared: ProjectCatalog) -> str:
    return yaml.dump(catalogue_view.declared_to_json(declared))
