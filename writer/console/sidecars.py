"""Which sidecars follow, and how far they are."""

from aiohttp import web

from writer.console.pages import Pages
from writer.console.standing import every_standing
from writer.operations.operations import Operations
from writer.operations.sidecars import SidecarDirectory


class SidecarPage:
    """One page."""

    def __init__(self, pages: Pages, operations: Operations, directory: SidecarDirectory) -> None:
        self._pages = pages
        self._operations = operations
        self._directory = directory

    def routes(self) -> list[web.RouteDef]:
        """What this handler answers."""
        return [web.get("/sidecars", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Of every project, or of `?project_id=`."""
        name = request.query.get("project_id")
        projects = [await self._operations.project(name)] if name else await self._operations.list_projects()
        groups = await every_standing(self._operations, self._directory, projects)
        return self._pages.render(request, "sidecars.html", groups=groups)
