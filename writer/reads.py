"""What apps ask the writer itself: the same paths and JSON as the sidecar's, and the pricing page's catalogue."""

from http import HTTPStatus

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from common import document as documents
from common.answers import CheckQuery, Standing, check_answer
from common.clock import Clock
from common.decision import decide
from common.http import json_response
from writer import pricing
from writer.api.answers import CatalogAnswer, CheckAnswer, EntitlementsAnswer
from writer.api.parameters import FEATURE, MIN_REVISION, USED, USER
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.documents import Documents


class Reads:
    """Handlers; each takes a project's key, or the admin key with a project_id."""

    def __init__(self, engine: AsyncEngine, auth: Authenticator, clock: Clock) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._auth = auth
        self._documents = Documents(engine, clock)
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "GET", "/api/v1/entitlements", Access.PROJECT_OR_ADMIN, Answer(HTTPStatus.OK, EntitlementsAnswer),
        takes=(USER, MIN_REVISION), tag="asking",
    )  # fmt: skip
    async def entitlements(self, call: Call[None]) -> web.Response:
        """All that a user holds, as committed.

        `min_revision` is read so that mistakes show: what is committed is never behind.
        """
        held = await self._documents.held(call.holder.project_id, call[USER])
        return json_response({**documents.to_json(held.document), "age_ms": 0, "stale": False})

    @route(
        "GET", "/api/v1/check", Access.PROJECT_OR_ADMIN, Answer(HTTPStatus.OK, CheckAnswer),
        takes=(USER, FEATURE, USED, MIN_REVISION), tag="asking",
    )  # fmt: skip
    async def check(self, call: Call[None]) -> web.Response:
        """May a user use a feature?

        The same path and JSON as the sidecar's.
        """
        query = CheckQuery(call[USER], call[FEATURE], call[USED])
        held = await self._documents.held(call.holder.project_id, query.user)
        decision = decide(held.document.entitlements, query.feature, held.catalogue, self._clock.now())
        standing = Standing(held.head, age_ms=0, stale=False)
        return json_response(check_answer(query, call.holder.project, decision, standing))

    @route(
        "GET", "/api/v1/catalog", Access.PROJECT_OR_ADMIN, Answer(HTTPStatus.OK, CatalogAnswer), tag="asking"
    )  # fmt: skip
    async def catalog(self, call: Call[None]) -> web.Response:
        """Prices, amounts and features, for a pricing page."""
        async with self._engine.connect() as connection:
            return json_response(await pricing.read(connection, call.holder.project_id))
