"""Which sidecars follow, and how far they are."""

from aiohttp import web

from writer.console.confirm import Ask, ask, is_confirmed
from writer.console.forms import Form, Refusal
from writer.console.guard import actor_of, to
from writer.console.pages import FORM, Pages
from writer.console.standing import every_standing
from writer.operations.operations import Operations
from writer.operations.sidecars import SidecarDirectory


class SidecarPages:
    """A page, and the act that it may lead to."""

    def __init__(self, pages: Pages, operations: Operations, directory: SidecarDirectory) -> None:
        self._pages = pages
        self._operations = operations
        self._directory = directory

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/sidecars", self.show),
            web.get("/sidecars/{project}/release", self.ask_to_release),
            web.post("/sidecars/{project}/release", self.release),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Of every project, or of `?project_id=`."""
        name = request.query.get("project_id")
        projects = [await self._operations.project(name)] if name else await self._operations.list_projects()
        groups = await every_standing(self._operations, self._directory, projects)
        return self._pages.render(request, "sidecars.html", groups=groups)

    async def ask_to_release(self, request: web.Request) -> web.Response:
        """Show whose lease would be freed."""
        return await self._ask(request, Form())

    async def release(self, request: web.Request) -> web.StreamResponse:
        """Free the lease of a writer that is no more."""
        form, name = request[FORM], request.match_info["project"]
        if not is_confirmed(form):
            return await self._ask(request, form)
        try:
            await self._operations.release_relay(name, form.get("reason") or None, actor_of(request))
        except Refusal as error:
            return await self._ask(request, form.refused(error))
        return to("sidecars", project_id=name, done="released")

    async def _ask(self, request: web.Request, form: Form) -> web.Response:
        project = await self._operations.project(request.match_info["project"])
        (standing,) = await every_standing(self._operations, self._directory, [project])
        held = "Redis does not answer" if standing.relay is None else standing.relay.words
        lines = [f"Now: {held}", "Any writer that runs takes the lease, and tells the sidecars what they missed"]
        question = Ask(
            f"Free the lease of {project.public_id}?",
            lines,
            "Free it",
            f"sidecars/{project.public_id}/release",
            f"sidecars?project_id={project.public_id}",
            reason="optional",
        )
        return ask(self._pages, request, question, form)
