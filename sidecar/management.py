"""The management port: probes, metrics, and a status for people."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.clock import Clock, format_time
from common.http import json_response, middleware, render
from common.identifiers import ProjectId
from common.problems import Problem
from common.wire import format_digest
from sidecar.freshness import State
from sidecar.log_level import LogLevelRoutes
from sidecar.metrics import Metrics
from sidecar.project import OnDisk, Project, Start
from sidecar.replica import Copy
from sidecar.shadow import Shadow


class Management:
    """Routes of `SIDECAR_MANAGEMENT_LISTEN`."""

    def __init__(
        self, projects: Mapping[ProjectId, Project], metrics: Metrics, shadow: Shadow, clock: Clock, instance: str
    ) -> None:
        self._projects = projects
        self._metrics = metrics
        self._shadow = shadow
        self._clock = clock
        self._instance = instance

    def application(self) -> web.Application:
        """An application with these routes."""
        app = web.Application(middlewares=[middleware])
        app.router.add_get("/healthz", self.live)
        app.router.add_get("/live", self.live)
        app.router.add_get("/ready", self.ready)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/status", self.status)
        LogLevelRoutes(self._clock).add_routes(app)
        return app

    async def live(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's shape
        """200 as long as the process answers at all."""
        return json_response({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's shape
        """200 once every project was loaded, whatever happens to Redis or the writer from then on."""
        missing = sorted(name for name, project in self._projects.items() if not project.replica.synced)
        if missing:
            detail = f"not loaded yet: {', '.join(missing)}"
            return render(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_synced", detail, projects=missing))
        return json_response({"status": "ready"})

    async def metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's shape
        """Prometheus's text format."""
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def status(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's shape
        """How each project stands."""
        projects = {name: self._standing(project) for name, project in self._projects.items()}
        return json_response({"instance": self._instance, "projects": projects})

    def _standing(self, project: Project) -> dict[str, Any]:
        now = self._clock.monotonic()
        copy, freshness = project.replica.copy, project.freshness
        return {
            "synced": copy is not None,
            "mode": project.mode(now).value,
            **({} if copy is None else _copied(project, copy, now)),
            "start": _start(project.started),
            "on_disk": _on_disk(project.on_disk),
            "clock_difference_ms": _milliseconds(freshness.clock_difference),
            "clocks_differ": freshness.clocks_differ,
            "differing": list(project.differing),
            "shadow": self._shadow.standing(project.id),
        }


def _copied(project: Project, copy: Copy, now: float) -> dict[str, Any]:
    """What can be said of a copy once there is one."""
    head, state = project.head, project.freshness.state(now)
    lag = None if head is None or head.epoch != copy.position.epoch else head.revision - copy.position.revision
    return {
        "epoch": copy.position.epoch,
        "revision": copy.position.revision,
        "head_lag": None if lag is None else max(0, lag),
        "ahead": project.ahead(now),
        "digest": format_digest(copy.digest),
        "count": copy.count,
        "complete": copy.complete,
        "age_ms": int(project.freshness.age(now) * 1000),
        "stale": state is not State.FRESH,
        "state": state.value,
        "loaded_from": None if project.source is None else project.source.value,
    }


def _start(start: Start | None) -> dict[str, Any] | None:
    return None if start is None else {"source": start.source.value, "seconds": round(start.seconds, 3)}


def _on_disk(state: OnDisk | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "position": None if state.position is None else state.position.token,
        "saved_at": None if state.saved_at is None else format_time(state.saved_at),
        "error": state.error,
        "refused": state.refused,
    }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
