"""Signing in with an admin key, and out."""

from http import HTTPStatus

from aiohttp import web

from common.problems import Problem
from writer.auth import Authenticator
from writer.console.forms import Form, query_form
from writer.console.guard import SIGN_IN, Guard, to
from writer.console.pages import FORM, PREFIX, SESSION, Pages


class SignIn:
    """The only pages that take no session."""

    def __init__(self, pages: Pages, guard: Guard, auth: Authenticator) -> None:
        self._pages = pages
        self._guard = guard
        self._auth = auth

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.get("/sign-in", self.show),
            web.post("/sign-in", self.sign_in),
            web.post("/sign-out", self.sign_out),
        ]

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The form; who is signed in already is led on."""
        if SESSION in request:
            return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": _next(query_form(request))})
        return self._page(request, query_form(request))

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """Begin a session."""
        form = request[FORM]
        try:
            actor = self._auth.operator(request, form.get("key"))
        except Problem as problem:
            # The key does not go back into the page.
            return self._page(request, Form({"next": form.get("next")}).refused(problem))
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": _next(form)})
        self._guard.begin(request, response, actor.name)
        return response

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """End the session."""
        response = to("sign-in")
        self._guard.forget(request, response)
        return response

    def _page(self, request: web.Request, form: Form) -> web.Response:
        return self._pages.render(request, "sign_in.html", form.status, form=form, next=_next(form))


def _next(form: Form) -> str:
    """Where to go on: a page of the console, whatever the form says."""
    wanted = form.get("next")
    inside = wanted == PREFIX or wanted.startswith((f"{PREFIX}/", f"{PREFIX}?"))
    return wanted if inside and wanted.isprintable() and not wanted.startswith(SIGN_IN) else PREFIX
