"""History over the API and by command: the same words for both."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner

from common.http import middleware
from common.identifiers import FeatureCode, UserId
from tests.support.operating import ACTOR, ADMIN, Operating, operating_side
from writer.admin.history import HistoryRoutes
from writer.catalogue import yaml
from writer.cli import main
from writer.operations.grants import GrantOrder

CATALOG = "{version: 1, projects: {shop: {features: {pro: {}}, plans: {price_1: {features: [pro]}}}}}"


@pytest.fixture
async def operating(database_url: str) -> AsyncIterator[Operating]:
    """An operator's side, on an empty database."""
    async with operating_side(database_url) as operating:
        yield operating


async def stocked(operating: Operating) -> None:
    """Grant a feature to ada."""
    await operating.project()
    declared = yaml.load(CATALOG)
    await operating.operations.apply_catalogues(declared, ACTOR)
    order = GrantOrder(UserId("ada"), FeatureCode("pro"), None, None, None, "a friend", None)
    await operating.operations.grant("shop", order, ACTOR)


async def answers(operating: Operating, *queries: str) -> list[tuple[int, Any]]:
    """Status and JSON for each query string."""
    app = web.Application(middlewares=[middleware])
    app.add_routes(HistoryRoutes(operating.auth, operating.operations, operating.clock).routes())
    found = []
    async with TestClient(TestServer(app)) as client:
        for query in queries:
            async with client.get(f"/api/v1/admin/history?{query}", headers=ADMIN) as response:
                found.append((response.status, await response.json()))
    return found


async def test_history_over_the_api(operating: Operating) -> None:
    """Changes without `at`, the state of that time with it; before anything, nothing was granted."""
    await stocked(operating)
    who = "project_id=shop&user_id=ada&feature=pro"
    told, then, before = await answers(
        operating, who, f"{who}&at=2999-01-01T00:00:00Z", f"{who}&at=2001-01-01T00:00:00Z"
    )
    assert [len(one["held"]) for one in told[1]["changes"]] == [1]
    (pro,) = then[1]["features"]
    assert (pro["allowed"], pro["source"], pro["grants"][0]["origin"]["reason"]) == (True, "manual", "a friend")
    assert (before[1]["document"], before[1]["features"][0]["reason"]) == (None, "unknown_feature")


async def test_what_history_refuses(operating: Operating) -> None:
    """Each missing or wrong part has its code."""
    await operating.project()
    who = "project_id=shop&user_id=ada"
    found = await answers(
        operating, "user_id=ada", "project_id=shop", "project_id=no&user_id=ada", f"{who}&at=today", f"{who}&limit=x"
    )
    assert [(status, body["code"]) for status, body in found] == [
        (400, "project_required"), (400, "user_required"), (404, "unknown_project"), (400, "invalid_time"),
        (400, "invalid_limit"),
    ]  # fmt: skip


def test_history_by_command(database_url: str) -> None:
    """A table for people, JSON for programs."""
    environment = {"DATABASE_URL": database_url}

    def run(*arguments: str, stdin: str | None = None) -> str:
        done = CliRunner().invoke(main, list(arguments), env=environment, input=stdin)
        assert done.exit_code == 0, done.output
        return done.stdout

    run("project", "create", "shop")
    run("catalog", "apply", "-", "--yes", stdin=CATALOG)
    run("grant", "ada", "shop", "pro", "--reason", "a friend")
    assert "+pro until for life" in run("history", "ada", "shop")
    assert "manual" in run("history", "ada", "shop", "pro", "--at", "2999-01-01T00:00:00Z")
    assert len(json.loads(run("history", "ada", "shop", "--json"))["changes"]) == 1
