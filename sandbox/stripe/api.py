"""The HTTP face of the API: who asks, what they sent, what they may expand, and every answer's headers."""

import base64
import binascii
import hmac
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

import orjson
from aiohttp import web

from sandbox.stripe import idempotency
from sandbox.stripe.agenda import Agenda
from sandbox.stripe.errors import StripeError, invalid
from sandbox.stripe.expansion import presented
from sandbox.stripe.faults import Outage, OutageMode
from sandbox.stripe.forms import decode
from sandbox.stripe.ledger import Cause, Ledger
from sandbox.stripe.params import Params
from sandbox.stripe.routing import Call, Handler, Routes
from sandbox.stripe.shapes import CURRENT_VERSION, JsonObject

WRONG_KEY: Final = 401
FORBIDDEN: Final = 403
READ_ONLY: Final = "rk_test_read"
"""A restricted key that begins so may read and write nothing."""
WITHOUT_ENTITLEMENTS: Final = "rk_test_no_entitlements"
"""A restricted key that begins so may do all but see features and where they are attached."""
ENTITLEMENTS: Final = re.compile(r"/v1/(entitlements/|products/[^/]+/features)")
IDS: Final = re.compile(r"\{[^}]*\}")
PARAMETERS: Final[dict[str, list[str]]] = orjson.loads(Path(__file__).with_name("parameters.json").read_bytes())
"""What each request may send, by method and path with its ids as `{}`; an extract of Stripe's description."""

AioHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Api:
    """What each request needs. `keys` are the secret keys; any `rk_test_…` is taken as a restricted one."""

    ledger: Ledger
    agenda: Agenda
    outage: Outage
    keys: tuple[str, ...]
    requests: deque[tuple[str, str, float]]

    def add(self, router: web.UrlDispatcher, routes: Routes) -> None:
        """Serve `routes`."""
        for method, path, handler in routes:
            router.add_route(method, path, self._served(handler))

    def _served(self, handler: Handler) -> AioHandler:
        async def serve(request: web.Request) -> web.StreamResponse:
            request_id = self.ledger.store.new_id("req", 14)
            self.requests.append((request.method, request.path, time.monotonic()))
            try:
                await self._fail_on_purpose(request)
                self._authenticate(request)
                return self._answer(request, handler, await request.text(), request_id)
            except StripeError as error:
                response = self._response(request, error.status, error.body(request_id), request_id)
                response.headers.update(error.headers)
                return response

        return serve

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        """The answer to a path or method that Stripe does not have, or the stand-in does not play."""
        request_id = self.ledger.store.new_id("req", 14)
        message = f"Unrecognized request URL ({request.method}: {request.path})."
        error = StripeError(404, message)
        return self._response(request, error.status, error.body(request_id), request_id)

    def _answer(self, request: web.Request, handler: Handler, body: str, request_id: str) -> web.Response:
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        self.agenda.run_until(self.ledger.clock.now())
        if key is None:
            return self._run(request, handler, body, request_id)
        print_ = idempotency.fingerprint(request.path, body)
        known = idempotency.remembered(self.ledger, key, print_)
        if known is None:
            response = self._run(request, handler, body, request_id)
            answer = idempotency.Answer(response.status, response.text or "", request_id)
            idempotency.remember(self.ledger, key, print_, answer)
            return response
        response = self._response(request, known.status, known.body, request_id)
        response.headers.update({"Idempotent-Replayed": "true", "Original-Request": known.request_id})
        return response

    def _run(self, request: web.Request, handler: Handler, body: str, request_id: str) -> web.Response:
        ledger = self.ledger
        ledger.cause = Cause(request_id, request.headers.get("Idempotency-Key"))
        try:
            values = decode(request.rel_url.raw_query_string) | decode(body)
            expand = Params({"expand": values.pop("expand", [])}).texts("expand")
            self._refuse_unknown(request, values)
            call = Call(Params(values), dict(request.match_info), request.path[request.path.index("/v1/") :])
            result = handler(ledger, call)
            if "/v1/events" not in request.path:
                result = presented(ledger.store, result, expand, self._version(request))
        except StripeError as error:
            return self._response(request, error.status, error.body(request_id), request_id)
        finally:
            ledger.cause = Cause()
            ledger.store.changes += request.method != "GET"
        return self._response(request, 200, result, request_id)

    def _refuse_unknown(self, request: web.Request, values: JsonObject) -> None:
        resource = request.match_info.route.resource
        if resource is None or self._version(request) != CURRENT_VERSION:
            return
        pattern = resource.canonical[resource.canonical.index("/v1/") :]
        known = PARAMETERS.get(f"{request.method} {IDS.sub('{}', pattern)}")
        for name in values if known is not None else ():
            if name not in (known or ()):
                raise invalid(f"Received unknown parameter: {name}", name, "parameter_unknown")

    def _version(self, request: web.Request) -> str:
        return request.headers.get("Stripe-Version", self.ledger.settings.default_version)

    def _response(self, request: web.Request, status: int, body: JsonObject | str, request_id: str) -> web.Response:
        text = body if isinstance(body, str) else orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
        response = web.Response(status=status, text=text, content_type="application/json")
        response.headers.update(
            {
                "Date": formatdate(self.ledger.clock.now(), usegmt=True),
                "Request-Id": request_id,
                "Stripe-Version": self._version(request),
            }
        )
        if "Idempotency-Key" in request.headers:
            response.headers["Idempotency-Key"] = request.headers["Idempotency-Key"]
        return response

    async def _fail_on_purpose(self, request: web.Request) -> None:
        mode = self.outage.strikes()
        if mode is OutageMode.SLOW:
            await self.outage.linger()
        elif mode is OutageMode.DOWN:
            raise StripeError(503, "Stripe is unavailable (sandbox outage).", kind="api_error")
        elif mode is OutageMode.RATE_LIMIT:
            message = (
                "Request rate limit exceeded. Learn more about rate limits here https://docs.stripe.com/rate-limits."
            )
            raise StripeError(429, message, code="rate_limit", headers=self.outage.limit_headers())
        elif mode is OutageMode.CUT and request.transport is not None:
            request.transport.abort()
            raise StripeError(503, "The connection was cut (sandbox outage).", kind="api_error")

    def _authenticate(self, request: web.Request) -> None:
        key = _key_of(request.headers.get("Authorization", ""))
        if key is None:
            message = (
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
            )
            raise StripeError(WRONG_KEY, message)
        restricted = key.startswith("rk_test_")
        hidden = key.startswith(WITHOUT_ENTITLEMENTS) and ENTITLEMENTS.search(request.path)
        if hidden or (key.startswith(READ_ONLY) and request.method != "GET"):
            raise StripeError(FORBIDDEN, _lacking(request))
        if not restricted and not any(hmac.compare_digest(key.encode(), known.encode()) for known in self.keys):
            shown = f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 16 else "*" * 8  # noqa: PLR2004
            raise StripeError(WRONG_KEY, f"Invalid API Key provided: {shown}")


def _lacking(request: web.Request) -> str:
    """Stripe's words, with its own name of the permission."""
    parts = request.path.split("/")
    what = "entitlement" if ENTITLEMENTS.search(request.path) else parts[2].removesuffix("s")
    permission = f"rak_{what}_{'read' if request.method == 'GET' else 'write'}"
    return (
        "The provided key 'rk_test_********' does not have the required permissions for this endpoint on account "
        f"'acct_sandbox'. Having the '{permission}' permission would allow this request to continue."
    )


def _key_of(header: str) -> str | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def problem_as_stripe(api: Api) -> Any:
    """Middleware: a path that nothing serves is answered in Stripe's shape."""

    @web.middleware
    async def unrouted(request: web.Request, handler: AioHandler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            if request.match_info.http_exception is None:
                raise  # a page that was served says itself what it did not find
            return await api.unknown(request)

    return unrouted
