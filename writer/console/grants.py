"""What is done to one user: grant, take back, compute again."""

from secrets import token_urlsafe

from aiohttp import web

from common.answers import parse_feature
from common.clock import format_time
from common.problems import bad_request
from writer.console.confirm import Ask, ask, is_confirmed
from writer.console.customers import CustomerPages, named
from writer.console.forms import Form, Refusal, is_number, query_form
from writer.console.guard import actor_of, to
from writer.console.pages import FORM, Pages
from writer.operations.grants import GrantOrder, check_reason
from writer.operations.operations import Operations


class GrantActs:
    """Each shows first what it would change."""

    def __init__(self, pages: Pages, operations: Operations, customers: CustomerPages) -> None:
        self._pages = pages
        self._operations = operations
        self._customers = customers

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.post("/customers/grant", self.grant),
            web.get("/customers/revoke", self.ask_to_revoke),
            web.post("/customers/revoke", self.revoke),
            web.post("/customers/recompute", self.recompute),
        ]

    async def grant(self, request: web.Request) -> web.StreamResponse:
        """Give a feature; sent twice it is given once."""
        form = request[FORM]
        try:
            project, order = _order(form)
            if not is_confirmed(form):
                return await self._ask_to_grant(request, form, project, order)
            granted = await self._operations.grant(project, order, actor_of(request))
        except Refusal as error:
            return await self._customers.shown(request, form.refused(error))
        done = "repeated" if granted.repeated else "granted"
        return to("customers/user", project_id=project, user_id=order.user, done=done)

    async def _ask_to_grant(self, request: web.Request, form: Form, project: str, order: GrantOrder) -> web.Response:
        check_reason(order.reason)
        foreseen = await self._operations.preview.of(project, order.user, order)
        until = "for life" if order.valid_to is None else f"until {format_time(order.valid_to)}"
        lines = [f"{order.user} is given {order.feature} in {project}, {until}", "What was bought stays as it is"]
        values = {name: form.values.get(name) for name in ("project_id", "user_id", "feature", "value", "valid_to")}
        question = Ask(
            f"Grant {order.feature} to {order.user}?",
            lines,
            "Grant it",
            "customers/grant",
            _address(project, order.user),
            {**values, "reason": order.reason, "once": token_urlsafe(16)},
            foreseen,
            takes_away=False,
        )
        return ask(self._pages, request, question)

    async def ask_to_revoke(self, request: web.Request) -> web.Response:
        """Show what would go."""
        return await self._ask_to_revoke(request, query_form(request))

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """Take a grant back."""
        form = request[FORM]
        project, user = named(form)
        try:
            done = await self._operations.revoke_grant(project, _grant_id(form), form.get("reason"), actor_of(request))
        except Refusal as error:
            return await self._ask_to_revoke(request, form.refused(error))
        word = "revoked" if done.ids else "revoked_before"
        return to("customers/user", project_id=project, user_id=user, done=word)

    async def _ask_to_revoke(self, request: web.Request, form: Form) -> web.Response:
        (project, user), grant_id = named(form), _grant_id(form)
        foreseen = await self._operations.preview.of_grant(project, grant_id)
        lines = [f"Grant {grant_id} of {foreseen.user} in {project} ends now", "What was bought stays as it is"]
        question = Ask(
            f"Take back grant {grant_id}?",
            lines,
            "Take it back",
            "customers/revoke",
            _address(project, user),
            {"project_id": project, "user_id": user, "grant_id": str(grant_id)},
            foreseen,
            reason="required",
        )
        return ask(self._pages, request, question, form)

    async def recompute(self, request: web.Request) -> web.StreamResponse:
        """Compute one user again: it never does harm, so nothing is asked."""
        form = request[FORM]
        project, user = named(form)
        try:
            done = await self._operations.recompute_user(project, user, actor_of(request))
        except Refusal as error:
            return await self._customers.shown(request, form.refused(error))
        return to("customers/user", project_id=project, user_id=user, done="recomputed" if done.changed else "right")


def _order(form: Form) -> tuple[str, GrantOrder]:
    project, user = named(form)
    feature, ends = parse_feature(form.get("feature")), form.time("valid_to")
    once = form.get("once") or None
    return project, GrantOrder(user, feature, form.value("value"), None, ends, form.get("reason"), once)


def _grant_id(form: Form) -> int:
    text = form.get("grant_id")
    if not is_number(text) or int(text) == 0:
        raise bad_request("unknown_grant", "grant_id must be a grant's number, from 1")
    return int(text)


def _address(project: str, user: str) -> str:
    return to("customers/user", project_id=project, user_id=user).headers["Location"].partition("/console/")[2]
