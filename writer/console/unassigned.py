"""What is nobody's, and saying whose it is."""

from collections.abc import Sequence

from aiohttp import web

from common.answers import parse_user
from writer.checkout.stripe_problems import as_problems
from writer.console.confirm import Ask, ask, is_confirmed
from writer.console.forms import Form, Refusal, query_form
from writer.console.guard import actor_of, to
from writer.console.pages import FORM, Pages
from writer.operations.claims import Claim, Claims
from writer.operations.operations import Operations
from writer.operations.unassigned import UnassignedObject

_FIELDS = ("object_id", "user_id", "project_id", "reason")


class UnassignedPages:
    """The list, and a claim in two steps."""

    def __init__(self, pages: Pages, operations: Operations, claims: Claims) -> None:
        self._pages = pages
        self._operations = operations
        self._claims = claims

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/unassigned", self.list),
            web.get("/unassigned/claim", self.show_claim),
            web.post("/unassigned/claim", self.claim),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Of one project or of all, those that wait longest first."""
        form = query_form(request)
        found = await self._claims.unassigned(form.get("project_id") or None, ended=bool(form.get("ended")))
        projects = await self._project_options()
        return self._pages.render(request, "unassigned.html", form=form, found=found, projects=projects)

    async def show_claim(self, request: web.Request) -> web.Response:
        """The form."""
        return await self._form(request, query_form(request))

    async def claim(self, request: web.Request) -> web.StreamResponse:
        """Give it to a user."""
        form = request[FORM]
        try:
            user = parse_user(form.values.get("user_id"))
            wanted = Claim(form.get("object_id"), user, form.get("project_id") or None, form.get("reason") or None)
            if not is_confirmed(form):
                return await self._ask(request, form, wanted)
            with as_problems():
                done = await self._claims.claim(wanted, actor_of(request))
        except Refusal as error:
            return await self._form(request, form.refused(error))
        if not done.projects:
            return to("unassigned", done="claimed")
        return to("customers/user", project_id=done.projects[0], user_id=done.user, done="claimed")

    async def _ask(self, request: web.Request, form: Form, wanted: Claim) -> web.Response:
        found = await self._claims.unassigned(wanted.project, ended=True)
        about = [one for one in found if wanted.object_id in {one.id, one.customer_id}]
        lines = [_told(one, wanted) for one in about] or [
            f"{wanted.object_id} is {wanted.user}'s from now on; if it was somebody else's by a claim, they lose it"
        ]
        if wanted.object_id.startswith("cus_"):
            lines.append("What the customer buys later, and names nobody else, is this user's too")
        lines.append("What its metadata at Stripe says counts more, and is refused here")
        values = {name: form.values.get(name) for name in _FIELDS}
        question = Ask(
            f"Is {wanted.object_id} {wanted.user}'s?", lines, "It is", "unassigned/claim", "unassigned", values,
            takes_away=False,
        )  # fmt: skip
        return ask(self._pages, request, question)

    async def _form(self, request: web.Request, form: Form) -> web.Response:
        projects = await self._project_options()
        return self._pages.render(request, "claim.html", form.status, form=form, projects=projects)

    async def _project_options(self) -> Sequence[tuple[str, str]]:
        return [(one.public_id, one.public_id) for one in await self._operations.list_projects()]


def _told(one: UnassignedObject, wanted: Claim) -> str:
    what = ", ".join(one.products) or "of no product that is known"
    where = ", ".join(one.projects) or "no project"
    return f"{one.id} ({what}, {one.status.replace('_', ' ')}), nobody's now, is {wanted.user}'s in {where} from now on"
