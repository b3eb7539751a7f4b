"""Who did what."""

from urllib.parse import urlencode

from aiohttp import web

from common.problems import bad_request
from writer.console.forms import query_form
from writer.console.pages import Pages
from writer.operations.audit_log import AuditFilter
from writer.operations.operations import Operations

_PAGE = 50
_FILTER = ("project_id", "actor", "action", "subject")


class AuditPage:
    """One page."""

    def __init__(self, pages: Pages, operations: Operations) -> None:
        self._pages = pages
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What this handler answers."""
        return [web.get("/audit", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """The newest first, filtered."""
        form = query_form(request)
        named = {name: form.get(name) for name in _FILTER if form.get(name)}
        chosen = AuditFilter(named.get("project_id"), named.get("actor"), named.get("action"), named.get("subject"))
        before = form.get("before")
        if before and (not (before.isascii() and before.isdecimal()) or len(before) > 18):  # noqa: PLR2004
            raise bad_request("invalid_limit", "before must be the number of a line")
        page = await self._operations.views.audit(chosen, int(before) if before else None, _PAGE)
        projects = [(one.public_id, one.public_id) for one in await self._operations.list_projects()]
        return self._pages.render(
            request, "audit.html", form=form, page=page, projects=projects, asked=urlencode(named)
        )
