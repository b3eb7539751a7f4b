"""Requests as operators see them: each has an id, which is given back, and is counted and timed by its route."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import perf_counter
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry, Counter, Histogram

from common import tracing
from common.tracing import Kind, Span
from common.trail import Trail, followed

REQUEST_ID: Final = "X-Request-ID"

_TRAIL: Final = web.RequestKey("trail", Trail)
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
_UNMATCHED: Final = "unmatched"
_BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Requests:
    """The outermost middleware, and what it counts. Routes are named as they are declared, never as they were asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answered = Counter(
            "billing_http_requests",
            "Requests answered, by method, route and status",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "billing_http_request_seconds",
            "From a request's head until its answer was made, by method and route",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=registry,
        )

    def observe(self, app: web.Application) -> None:
        """Observe every request of the application, whose other middlewares are all there."""
        app.middlewares.insert(0, self._outermost())
        app.on_response_prepare.append(_give_back)

    def _outermost(self) -> Middleware:
        @web.middleware
        async def observed(request: web.Request, handler: _Handler) -> web.StreamResponse:
            trail = Trail.of_request(request.headers.get(REQUEST_ID), request.headers.get("traceparent"))
            request[_TRAIL] = trail
            method, route = _named(request)
            status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
            began = perf_counter()
            with followed(trail), tracing.span(f"{method} {route}", Kind.SERVER) as span:
                try:
                    response = await handler(request)
                except web.HTTPException as error:  # a redirect, as all others were made problems
                    status = error.status
                    raise
                else:
                    status = response.status
                    return response
                finally:
                    if span is not None:
                        _describe(span, method, route, status)
                    self._answered.labels(method, route, status).inc()
                    self._seconds.labels(method, route).observe(perf_counter() - began)

        return observed


def _named(request: web.Request) -> tuple[str, str]:
    resource = request.match_info.route.resource
    method = request.method if request.method in _METHODS else "other"
    return method, _UNMATCHED if resource is None else resource.canonical


def _describe(span: Span, method: str, route: str, status: int) -> None:
    """As OpenTelemetry names it."""
    span.note("http.request.method", method)
    span.note("http.route", route)
    span.note("http.response.status_code", status)


async def _give_back(request: web.Request, response: web.StreamResponse) -> None:
    if _TRAIL in request and (request_id := request[_TRAIL].request_id):
        response.headers[REQUEST_ID] = request_id
