"""Who did what."""

from urllib.parse import urlencode

from aiohttp import web

from common.problems import bad_request
from writer.console.forms import is_number, query_form
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
        chosen = AuditFilter(actor=named.get("actor"), action=named.get("action"), subject=named.get("subject"))
        before = form.get("before")
        if before and not is_number(before):
            raise bad_request("invalid_limit", "before must be the number of a line")
        found = await self._operations.records.audit(
            named.get("project_id"), chosen, int(before) if before else None, _PAGE + 1
        )
        older = found[_PAGE - 1].id if len(found) > _PAGE else None
        projects = [(one.public_id, one.public_id) for one in await self._operations.list_projects()]
        return self._pages.render(
            request,
            "audit.html",
            form=form,
            entries=found[:_PAGE],
            older=older,
            projects=projects,
            asked=urlencode(named),
        )
