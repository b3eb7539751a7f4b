"""Customers: found by whatever is at hand, and all about one of them on one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from common.answers import parse_user
from common.clock import Clock, Instant
from common.decision import Decision, decide
from common.document import Entitlement
from common.identifiers import FeatureCode, UserId
from common.problems import bad_request
from writer.console.forms import Form, query_form
from writer.console.pages import Pages
from writer.documents import Held
from writer.operations.operations import Operations

_CHANGES: Final = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """One feature: what is answered now, and what gives it or once gave it."""

    code: FeatureCode
    decision: Decision
    rows: Sequence[Entitlement]


class CustomerPages:
    """Two pages; `shown` is the second, also for those who have to show it again with what was wrong."""

    def __init__(self, pages: Pages, operations: Operations, clock: Clock) -> None:
        self._pages = pages
        self._operations = operations
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [web.get("/customers", self.search), web.get("/customers/user", self.show)]

    async def search(self, request: web.Request) -> web.Response:
        """`?q=` and, for one project only, `&project_id=`."""
        form = query_form(request)
        projects = await self._operations.list_projects()
        hits = await self._operations.views.search(form.get("q"), form.get("project_id") or None)
        return self._pages.render(request, "customers.html", form=form, projects=projects, hits=hits)

    async def show(self, request: web.Request) -> web.Response:
        """`?project_id=&user_id=`; further values fill in the form for a grant."""
        return await self.shown(request, query_form(request))

    async def shown(self, request: web.Request, form: Form) -> web.Response:
        """The user whom the form names, with the form as it was sent."""
        name, user = named(form)
        views, now = self._operations.views, self._clock.now()
        project = await self._operations.project(name)
        held = await self._operations.held(project, user)
        changes = await self._operations.history(name, user, None, now, _CHANGES)
        features = sorted(held.catalogue.features)
        return self._pages.render(
            request,
            "customer.html",
            form.status,
            form=form,
            project=project,
            user=user,
            now=now,
            document=held.document,
            bought=await views.holdings(name, user),
            answers=[_answer(held, code, now) for code in features],
            strays=sorted({row["feature_code"] for row in _told(changes)} - set(features)),
            features=[(code, code) for code in features],
            changes=changes,
        )


def named(form: Form) -> tuple[str, UserId]:
    """Which project and user a form is about; Problem 400 where it names none."""
    project = form.get("project_id")
    if not project:
        raise bad_request("project_required", "project_id is missing")
    # Not `get`: a user id may begin or end with a blank.
    return project, parse_user(form.values.get("user_id"))


def _answer(held: Held, code: FeatureCode, now: Instant) -> Answer:
    """As a sidecar in step gives it."""
    rows = held.document.entitlements
    return Answer(code, decide(rows, code, held.catalogue, now), [row for row in rows if row.feature_code == code])


def _told(changes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for change in changes for row in (*change["held"], *change["gone"])]
