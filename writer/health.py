"""Whether the writer lives, is ready, and how it does: for probes, load balancers and Prometheus."""

import asyncio
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web
from alembic.script import ScriptDirectory
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.http import json_response
from common.problems import Problem
from writer.api.answers import StatusAnswer
from writer.api.routes import Access, Answer, Call, route, served
from writer.supervision import DATABASE_FAULTS

_PATIENCE_SECONDS: Final = 2.0
_STATUS: Final = Answer(HTTPStatus.OK, StatusAnswer)
_MIGRATIONS: Final = Path(__file__).resolve().parents[1] / "migrations"


class Health:
    """`/healthz` and `/live` say that the process answers; `/ready` that the database does, as it must be."""

    def __init__(self, engine: AsyncEngine, registry: CollectorRegistry) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._registry = registry

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer; they take no key."""
        return served(self)

    @route("GET", "/healthz", Access.NOBODY_ASKED, _STATUS, tag="probes")
    async def healthz(self, _: Call[None]) -> web.Response:
        """The process answers: always 200."""
        return json_response({"status": "ok"})

    @route("GET", "/live", Access.NOBODY_ASKED, _STATUS, tag="probes")
    async def live(self, _: Call[None]) -> web.Response:
        """The process answers: always 200."""
        return json_response({"status": "ok"})

    @route("GET", "/ready", Access.NOBODY_ASKED, _STATUS, problems=("503 not_ready",), tag="probes")
    async def ready(self, _: Call[None]) -> web.Response:
        """200 with the database and its schema; 503 with the reason."""
        reason = await self.unready_reason()
        if reason is not None:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", reason, headers={"Retry-After": "1"})
        return json_response({"status": "ready"})

    @route("GET", "/metrics", Access.NOBODY_ASKED, Answer(HTTPStatus.OK, media="text/plain"), tag="probes")
    async def metrics(self, _: Call[None]) -> web.Response:
        """All metrics, in Prometheus's text form."""
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def unready_reason(self) -> str | None:
        """Why no request can be served; None: they can."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                applied = await self._applied()
        except DATABASE_FAULTS:
            return "the database does not answer"
        if applied is None:
            return "the database has no schema yet: run alembic upgrade head"
        # A schema that this release does not know is a newer one: migrations expand first, so it can be worked with.
        if applied in known_migrations()[1:]:
            return f"the schema is at {applied}, {known_migrations()[0]} is needed: run alembic upgrade head"
        return None

    async def _applied(self) -> str | None:
        async with self._engine.connect() as connection:
            if (await connection.execute(_HAS_VERSION)).scalar_one() is None:
                return None
            applied: str | None = (await connection.execute(_VERSION)).scalar_one_or_none()
            return applied


@cache
def known_migrations() -> Sequence[str]:
    """Every migration that this release knows, the newest first."""
    return [script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()]


_HAS_VERSION: Final = text("SELECT to_regclass('alembic_version')::text")

_VERSION: Final = text("SELECT version_num FROM alembic_version")
