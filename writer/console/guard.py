"""Stands before every page: who is signed in, whether a form is our own, and what a browser may do with an answer."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

from aiohttp import web

from common.clock import SECOND, Clock
from common.http import internal_error
from common.problems import Problem
from writer.console.forms import read_form
from writer.console.pages import FORM, PREFIX, SESSION, TOKEN, Pages
from writer.console.session import LONGEST_SECONDS, Session, Sessions
from writer.operations.audit import Actor
from writer.refusals import RefusedError, as_problem

_log = logging.getLogger(__name__)

SIGN_IN: Final = f"{PREFIX}/sign-in"
_OPEN: Final = (SIGN_IN, f"{PREFIX}/static/")
_COOKIE: Final = "billing_console"
_RENEW_SECONDS: Final = 60

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it a browser hides the origin of our own forms too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """The console's outermost middleware."""

    def __init__(self, sessions: Sessions, pages: Pages, clock: Clock) -> None:
        self._sessions = sessions
        self._pages = pages
        self._clock = clock

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer every request with a page, and with the headers that keep it safe."""
        try:
            response = await self._answer(request, handler)
        except web.HTTPException as error:
            response = self._of_http(request, error)
        except RefusedError as error:
            response = self._pages.problem(request, as_problem(error))
        except Problem as problem:
            response = self._pages.problem(request, problem)
        except Exception:  # the last resort of a request; logged with its trace
            _log.exception("request failed method=%s path=%s", request.method, request.path)
            response = self._pages.problem(request, internal_error())
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            _check_origin(request)
        session = self._sessions.read(request.cookies.get(_cookie_name(request), ""))
        if session is None:
            if not request.path.startswith(_OPEN):
                return _asked_to_sign_in(request)
        else:
            request[SESSION], request[TOKEN] = session, self._sessions.token(session)
        if request.method == "POST":
            request[FORM] = form = await read_form(request)
            # Who signs in is asked for the key; of what session the browser is meanwhile is no matter.
            is_own = session is None or self._sessions.is_token(session, form.get("token"))
            if not is_own and request.path != SIGN_IN:
                raise Problem(
                    HTTPStatus.FORBIDDEN, "invalid_token", "the form is of another session; load its page again"
                )
        response = await handler(request)
        if session is not None and self._clock.now() // SECOND - session.seen >= _RENEW_SECONDS:
            self.remember(request, response, self._sessions.touched(session))
        return response

    def remember(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        """Sign in, or stay so; unless the handler has just ended the session."""
        name = _cookie_name(request)
        if name not in response.cookies:
            response.set_cookie(
                name, self._sessions.write(session), path=PREFIX, max_age=LONGEST_SECONDS,
                secure=request.secure, httponly=True, samesite="Strict",
            )  # fmt: skip

    def begin(self, request: web.Request, response: web.StreamResponse, actor: str) -> None:
        """Sign in with the admin key of that name."""
        self.remember(request, response, self._sessions.begin(actor))

    def forget(self, request: web.Request, response: web.StreamResponse) -> None:
        """Sign out: the browser drops the cookie; pages it never kept."""
        response.del_cookie(_cookie_name(request), path=PREFIX, secure=request.secure, httponly=True, samesite="Strict")

    def _of_http(self, request: web.Request, error: web.HTTPException) -> web.StreamResponse:
        if error.status < HTTPStatus.BAD_REQUEST:
            return web.Response(status=error.status, headers={"Location": error.headers["Location"]})
        status = HTTPStatus(error.status)
        words = {HTTPStatus.NOT_FOUND: "there is no such page", HTTPStatus.METHOD_NOT_ALLOWED: "the page takes no form"}
        code = status.phrase.lower().replace(" ", "_")
        return self._pages.problem(request, Problem(status, code, words.get(status, error.reason)))


def actor_of(request: web.Request) -> Actor:
    """The operator who is signed in, as the audit log names them."""
    return Actor(request[SESSION].actor, request.remote)


def to(path: str, **query: str) -> web.Response:
    """Lead on to a page of the console after an act."""
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    location = f"{PREFIX}/{path}".rstrip("/") + (f"?{asked}" if asked else "")
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location})


def _cookie_name(request: web.Request) -> str:
    # A browser takes a cookie of that prefix over https only, so that nobody on the way can plant one.
    return f"__Secure-{_COOKIE}" if request.secure else _COOKIE


def _check_origin(request: web.Request) -> None:
    """Forms come from the console itself; a browser says where a form comes from, whoever wrote the page."""
    origin = urlsplit(request.headers.get("Origin", ""))
    if origin.scheme not in {"http", "https"} or origin.netloc != request.host:
        detail = "the form does not come from this console; if a proxy stands before it, it must pass Host on"
        raise Problem(HTTPStatus.FORBIDDEN, "foreign_form", detail)


def _asked_to_sign_in(request: web.Request) -> web.StreamResponse:
    if request.method in {"GET", "HEAD"}:
        return to("sign-in", next=request.path_qs)
    detail = "the session is over; sign in and send the form again. Nothing was done"
    raise Problem(HTTPStatus.UNAUTHORIZED, "signed_out", detail)
