"""What the writer answers apps and probes itself."""

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from common import document as documents
from common.settings import Secret
from tests.support.operating import Operating, operating_side
from writer.db.engine import create_engine
from writer.health import Health, known_migrations
from writer.settings import DatabaseSettings


async def test_an_unknown_user_has_an_empty_document_at_the_head(side: Operating) -> None:
    """Nobody is made by asking; the document reads like any other."""
    shop = await side.project()
    status, body = await side.call("GET", "/api/v1/entitlements?user_id=a:b&project_id=shop", headers=shop)
    document = documents.from_json(body)
    assert (status, document.user_id, document.revision, document.entitlements) == (200, "a:b", 1, ())
    assert (body["age_ms"], body["stale"]) == (0, False)
    assert await side.rows("SELECT count(*) FROM users") == [(0,)]


async def test_defaults_and_unknown_features_are_answers(side: Operating) -> None:
    """A feature's default is allowed to everybody; a feature that does not exist is answered 200."""
    shop = await side.project()
    body = {"features": {"free": {"default": True}, "seats": {"kind": "limit", "default": 3}}}
    await side.call("PUT", "/api/v1/admin/projects/shop/catalog", body)
    _, free = await side.call("GET", "/api/v1/check?user_id=u&feature=free", headers=shop)
    assert (free["allowed"], free["source"], free["reason"]) == (True, "default", "granted")
    _, seats = await side.call("GET", "/api/v1/check?user_id=u&feature=seats&used=5", headers=shop)
    assert (seats["allowed"], seats["value"], seats["remaining"]) == (True, 3, 0)
    status, none = await side.call("GET", "/api/v1/check?user_id=u&feature=none", headers=shop)
    assert (status, none["allowed"], none["reason"]) == (200, False, "unknown_feature")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("check?feature=pro", "user_required"),
        ("check?user_id=u", "feature_required"),
        ("check?user_id=u&feature=a%20b", "invalid_feature"),
        ("check?user_id=u&feature=pro&used=-1", "invalid_used"),
        ("check?user_id=u&feature=pro&min_revision=1", "invalid_min_revision"),
        ("check?user_id=a%00b&feature=pro", "invalid_user"),
        ("entitlements", "user_required"),
        ("entitlements?user_id=" + "x" * 256, "invalid_user"),
        ("entitlements?user_id=u&min_revision=x", "invalid_min_revision"),
    ],
)
async def test_a_bad_question_is_refused(side: Operating, path: str, code: str) -> None:
    """400 with the same codes as the sidecar's."""
    shop = await side.project()
    status, problem = await side.call("GET", f"/api/v1/{path}", headers=shop)
    assert (status, problem["code"]) == (400, code)


async def test_probes_need_no_key(side: Operating) -> None:
    """healthz, live and ready are 200 on a good database; metrics are Prometheus text."""
    for path in ("healthz", "live", "ready"):
        async with side.client.get(f"/{path}") as response:
            assert response.status == 200
    async with side.client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain")


async def test_ready_says_why_not_and_live_stays(side: Operating) -> None:
    """Behind on migrations: 503 with the command; an unknown, newer schema is worked with."""
    await side.rows("UPDATE alembic_version SET version_num = '0001' RETURNING 1")
    status, problem = await side.call("GET", "/ready", headers={})
    assert (status, problem["code"]) == (503, "not_ready")
    assert "alembic upgrade head" in problem["detail"]
    assert (await side.call("GET", "/live", headers={}))[0] == 200
    await side.rows("UPDATE alembic_version SET version_num = 'newer' RETURNING 1")
    assert (await side.call("GET", "/ready", headers={}))[0] == 200


async def test_ready_without_schema_or_database(empty_database_url: str) -> None:
    """No schema and no server each have their own words, and neither hangs."""
    for url, words in (
        (empty_database_url, "no schema yet"),
        ("postgresql://billing_user:hunter2@127.0.0.1:1/none", "does not answer"),
    ):
        engine = create_engine(DatabaseSettings(Secret(url), None, 2, 5, 5, 5))
        reason = await Health(engine, CollectorRegistry()).unready_reason()
        await engine.dispose()
        assert reason is not None
        assert words in reason
        assert "hunter2" not in reason


@pytest.mark.parametrize(
    "path", ["/api/v1/check?user_id=u&feature=pro", "/api/v1/catalog", "/api/v1/entitlements?user_id=u"]
)
async def test_a_database_that_is_away_is_told_as_that(path: str) -> None:
    """503 with when to come again, not 500; the answer holds nothing of the connection."""
    async with operating_side("postgresql://billing_user:hunter2@127.0.0.1:1/none") as side:
        response = await side.client.get(path, headers={"Authorization": "Bearer bk_00"})
        problem = await response.json()
        assert (response.status, problem["code"]) == (503, "database_unavailable")
        assert int(response.headers["Retry-After"]) >= 1
        assert "hunter2" not in str(problem)


async def test_a_fault_of_ours_is_no_outage(side: Operating) -> None:
    """A statement that Postgres refuses stays a 500."""
    headers = await side.project()
    async with side.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE features RENAME TO gone"))
    response = await side.client.get("/api/v1/catalog", headers=headers)
    assert response.status == 500


def test_known_migrations_begin_with_the_newest() -> None:
    """The first is the one that a ready database must have."""
    assert list(known_migrations()) == sorted(known_migrations(), reverse=True)
