"""Customers: found by whatever is at hand, and all about one of them on one page: why they have what they have."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from common.answers import parse_user
from common.clock import Clock, Instant, parse_time
from common.identifiers import UserId
from common.problems import Problem, bad_request
from writer.console.forms import Form, query_form
from writer.console.pages import Pages
from writer.console.remedies import remedy
from writer.explain.view import Question
from writer.operations.operations import Operations
from writer.operations.sidecars import SidecarDirectory

Json = Mapping[str, Any]

_CHANGES: Final = 100


class CustomerPages:
    """Two pages; `shown` is the second, also for those who have to show it again with what was wrong."""

    def __init__(self, pages: Pages, operations: Operations, directory: SidecarDirectory, clock: Clock) -> None:
        self._pages = pages
        self._operations = operations
        self._directory = directory
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
        """`?project_id=&user_id=`, with `&at=` as it was then; further values fill in the form for a grant."""
        return await self.shown(request, query_form(request))

    async def shown(self, request: web.Request, form: Form) -> web.Response:
        """The user whom the form names, with the form as it was sent."""
        name, user = named(form)
        moment, now = None, self._clock.now()
        try:
            moment = form.time("at")
        except Problem as problem:
            form = form.refused(problem)
        told = await self._operations.explain(Question(name, user, None, moment), self._directory)
        until = now if moment is None else moment
        return self._pages.render(
            request,
            "customer.html",
            form.status,
            form=form,
            told=told,
            project=name,
            user=user,
            features=[(one["feature"], one["feature"]) for one in told["features"] if one["kind"] is not None],
            remedies=_remedies(told),
            grants=_grants(told, until),
            changes=await self._operations.history(name, user, None, until, _CHANGES),
        )


def named(form: Form) -> tuple[str, UserId]:
    """Which project and user a form is about; Problem 400 where it names none."""
    project = form.get("project_id")
    if not project:
        raise bad_request("project_required", "project_id is missing")
    # Not `get`: a user id may begin or end with a blank.
    return project, parse_user(form.values.get("user_id"))


def _remedies(told: Json) -> Mapping[str, Sequence[tuple[Json, tuple[str, str] | None]]]:
    """By feature: each cause of a denial, and where in the console it is mended."""
    return {
        one["feature"]: [
            (cause, remedy(cause, told["project_id"], told["user_id"], one["feature"])) for cause in one["causes"]
        ]
        for one in told["features"]
    }


def _grants(told: Json, moment: Instant) -> Sequence[Json]:
    """Manual grants, the newest first, with their feature and how they stand."""
    features = {
        source["ref"]: one["feature"]
        for one in told["features"]
        for source in one["sources"]
        if source["kind"] == "manual"
    }
    found = [one for one in told["holdings"] if one["kind"] == "manual"]
    return [
        {**one, "feature": features.get(one["ref"]), "state": _state(one, moment)}
        for one in sorted(found, key=lambda one: -int(one["ref"]))
    ]


def _state(grant: Json, moment: Instant) -> str:
    if grant["revoked_at"] is not None:
        return "revoked"
    if grant["valid_to"] is not None and parse_time(grant["valid_to"]) <= moment:
        return "ended"
    return "not begun" if parse_time(grant["valid_from"]) > moment else "in force"
