"""What a caller is told when the database cannot finish a request."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from common.http import middleware
from writer.db.transaction import CatalogueMovedError, LineageMovedError
from writer.unavailable import database_problems


@pytest.mark.parametrize("fault", [CatalogueMovedError(), LineageMovedError()])
async def test_what_moves_under_a_request_is_to_be_tried_again(fault: Exception) -> None:
    """A catalogue or an epoch that never stands still is 503 with a time to come again, not 500."""

    async def act(_: web.Request) -> web.Response:
        raise fault

    app = web.Application(middlewares=[middleware, database_problems])
    app.router.add_get("/", act)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/")
        assert answer.status == 503
        assert (await answer.json())["code"] == "changed_meanwhile"
        assert answer.headers["Retry-After"].isdecimal()
