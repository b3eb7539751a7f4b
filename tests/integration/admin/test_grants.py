"""Grants, revocations and recomputes over the admin routes, and what they change."""

import asyncio
from typing import Any

import pytest

from common.position import Position
from tests.support.operating import ADMIN, Operating

CATALOG = {"features": {"pro": {}, "seats": {"kind": "limit"}, "theme": {"kind": "config"}}}
GRANT = "/api/v1/admin/grant"
REVOKE = "/api/v1/admin/revoke"
RECOMPUTE = "/api/v1/admin/recompute"


@pytest.fixture
async def shop(side: Operating) -> dict[str, str]:
    """A project with a plain feature, a limit and a configuration; headers with its key."""
    headers = await side.project()
    status, _ = await side.call("PUT", "/api/v1/admin/projects/shop/catalog", CATALOG)
    assert status == 200
    return headers


def order(**changes: Any) -> dict[str, Any]:
    """A good grant, with changes; None leaves a field out."""
    whole = {"project_id": "shop", "user_id": "ann", "feature": "pro", "reason": "beta", **changes}
    return {name: value for name, value in whole.items() if value is not None}


async def check(side: Operating, headers: dict[str, str], feature: str, user: str = "ann") -> dict[str, Any]:
    """The writer's answer."""
    _, body = await side.call("GET", f"/api/v1/check?user_id={user}&feature={feature}&used=1", headers=headers)
    assert isinstance(body, dict)
    return body


async def test_a_grant_is_answered_at_its_token(side: Operating, shop: dict[str, str]) -> None:
    """Granting changes the answer, in one revision, whose position is the token; revoking changes it back."""
    before = await check(side, shop, "pro")
    assert (before["allowed"], before["reason"], before["revision"]) == (False, "not_granted", 2)
    status, granted = await side.call("POST", GRANT, order())
    assert (status, granted["changed"]) == (201, True)
    after = await check(side, shop, "pro")
    assert (after["allowed"], after["source"]) == (True, "manual")
    assert Position(after["epoch"], after["revision"]).token == granted["token"]
    status, revoked = await side.call(
        "POST", REVOKE, {"project_id": "shop", "grant_id": granted["grant_id"], "reason": "over"}
    )
    assert (status, revoked["revoked"]) == (200, [granted["grant_id"]])
    assert not (await check(side, shop, "pro"))["allowed"]
    assert await side.rows("SELECT is_empty FROM documents") == [(True,)]
    again = await side.call("POST", REVOKE, {"project_id": "shop", "grant_id": granted["grant_id"], "reason": "over"})
    assert (again[0], again[1]["revoked"], again[1]["changed"]) == (200, [], False)


async def test_every_act_stands_in_the_audit_log_and_history(side: Operating, shop: dict[str, str]) -> None:
    """Who, what, why: one row for each act, and the cause of each revision."""
    _, granted = await side.call("POST", GRANT, order(reason="beta tester"))
    await side.call("POST", REVOKE, {"project_id": "shop", "user_id": "ann", "feature": "pro", "reason": "over"})
    await side.call("POST", RECOMPUTE, {"project_id": "shop", "user_id": "ann"})
    acts = await side.rows("SELECT action, subject, reason FROM audit_log WHERE subject = 'user:ann' ORDER BY id")
    assert acts == [
        ("grant.create", "user:ann", "beta tester"),
        ("grant.revoke", "user:ann", "over"),
        ("user.recompute", "user:ann", None),
    ]
    causes = await side.rows("SELECT cause FROM entitlement_history ORDER BY revision")
    assert causes == [(f"grant:{granted['grant_id']}",)] * 2


async def test_limits_and_configurations_carry_their_value(side: Operating, shop: dict[str, str]) -> None:
    """Each kind takes its values, and the answer gives them back."""
    assert (await side.call("POST", GRANT, order(feature="seats", value=5)))[0] == 201
    assert (await side.call("POST", GRANT, order(feature="theme", value={"dark": True})))[0] == 201
    answer = await check(side, shop, "seats")
    assert (answer["value"], answer["remaining"]) == (5, 4)
    assert (await check(side, shop, "theme"))["value"] == {"dark": True}
    assert (await side.call("POST", GRANT, order(feature="seats", value="unlimited")))[0] == 201
    assert (await check(side, shop, "seats"))["value"] == "unlimited"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"project_id": "none"}, 404, "unknown_project"),
        ({"feature": "nope"}, 404, "unknown_feature"),
        ({"feature": "a b"}, 400, "invalid_feature"),
        ({"feature": ""}, 400, "feature_required"),
        ({"user_id": ""}, 400, "user_required"),
        ({"user_id": "x" * 256}, 400, "invalid_user"),
        ({"user_id": "a\nb"}, 400, "invalid_user"),
        ({"reason": None}, 400, "invalid_body"),
        ({"reason": " "}, 400, "reason_required"),
        ({"reason": "x" * 1001}, 400, "reason_required"),
        ({"value": 5}, 400, "invalid_value"),
        ({"feature": "seats"}, 400, "invalid_value"),
        ({"feature": "seats", "value": -1}, 400, "invalid_value"),
        ({"feature": "seats", "value": 1.5}, 400, "invalid_value"),
        ({"feature": "seats", "value": True}, 400, "invalid_value"),
        ({"feature": "seats", "value": 2**53}, 400, "invalid_value"),
        ({"feature": "theme", "value": 5}, 400, "invalid_value"),
        ({"feature": "theme", "value": {"a": "x" * 20_000}}, 400, "invalid_value"),
        ({"valid_from": "soon"}, 400, "invalid_time"),
        ({"valid_to": "2020-01-01T00:00:00Z"}, 400, "invalid_period"),
        ({"valid_from": "2030-01-01T00:00:00Z", "valid_to": "2030-01-01T00:00:00Z"}, 400, "invalid_period"),
        ({"valid_from": "0001-01-01T00:00:00Z"}, 400, "invalid_period"),
        ({"valid_from": "1969-12-31T23:59:59Z"}, 400, "invalid_period"),
        ({"valid_to": "9999-12-31T23:59:59.999999Z"}, 400, "invalid_period"),
    ],
)
async def test_a_bad_grant_is_refused(
    side: Operating, shop: dict[str, str], changes: dict[str, Any], status: int, code: str
) -> None:
    """Each fault has its own code, and neither a user nor a grant is left behind."""
    answered, problem = await side.call("POST", GRANT, order(**changes))
    assert (answered, problem["code"]) == (status, code), problem
    assert await side.rows("SELECT count(*) FROM manual_grants") == [(0,)]
    assert await side.rows("SELECT count(*) FROM users") == [(0,)]


async def test_the_same_idempotency_key_grants_once(side: Operating, shop: dict[str, str]) -> None:
    """Ten at once make one grant and are answered alike; another wish under the same key is refused.

    The key stays with the grant when it is forgotten otherwise.
    """
    headers = {**ADMIN, "Idempotency-Key": "k-1"}
    answers = await asyncio.gather(*[side.call("POST", GRANT, order(), headers=headers) for _ in range(10)])
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 201
    assert await side.rows("SELECT count(*) FROM manual_grants") == [(1,)]
    for changes in ({"user_id": "bob"}, {"reason": "other"}, {"valid_to": "2099-01-01T00:00:00Z"}):
        status, problem = await side.call("POST", GRANT, order(**changes), headers=headers)
        assert (status, problem["code"]) == (422, "idempotency_key_reused")
    await side.rows("UPDATE idempotent_requests SET created_at = now() - interval '25 hours' RETURNING key")
    status, body = await side.call("POST", GRANT, order(), headers=headers)
    assert (status, body["grant_id"], body["changed"]) == (200, answers[0][1]["grant_id"], False)
    await side.rows("UPDATE idempotent_requests SET created_at = now() - interval '25 hours' RETURNING key")
    status, problem = await side.call("POST", GRANT, order(reason="other"), headers=headers)
    assert (status, problem["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_an_impossible_idempotency_key_is_refused(side: Operating, shop: dict[str, str], key: str) -> None:
    """400 with what is allowed."""
    status, problem = await side.call("POST", GRANT, order(), headers={**ADMIN, "Idempotency-Key": key})
    assert (status, problem["code"]) == (400, "invalid_idempotency_key")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"project_id": "shop", "reason": "x"}, 400, "invalid_body"),
        ({"project_id": "shop", "reason": "x", "user_id": "ann"}, 400, "invalid_body"),
        ({"project_id": "shop", "reason": "x", "grant_id": 1, "user_id": "ann"}, 400, "invalid_body"),
        ({"project_id": "shop", "reason": "x", "grant_id": 0}, 400, "invalid_body"),
        ({"project_id": "shop", "reason": "x", "grant_id": 2**63}, 400, "invalid_body"),
        ({"project_id": "shop", "reason": "x", "grant_id": 99}, 404, "unknown_grant"),
        ({"project_id": "shop", "reason": "x", "user_id": "ann", "feature": "pro"}, 404, "unknown_grant"),
        ({"project_id": "shop", "reason": "", "grant_id": 99}, 400, "reason_required"),
        ({"project_id": "none", "reason": "x", "grant_id": 1}, 404, "unknown_project"),
    ],
)
async def test_a_bad_revocation_is_refused(
    side: Operating, shop: dict[str, str], body: dict[str, Any], status: int, code: str
) -> None:
    """Each fault has its own code."""
    answered, problem = await side.call("POST", REVOKE, body)
    assert (answered, problem["code"]) == (status, code)


async def test_a_grant_of_another_project_cannot_be_revoked(side: Operating, shop: dict[str, str]) -> None:
    """A grant's id is only good together with its project."""
    _, granted = await side.call("POST", GRANT, order())
    await side.project("blog")
    body = {"project_id": "blog", "grant_id": granted["grant_id"], "reason": "x"}
    assert (await side.call("POST", REVOKE, body))[0] == 404
    assert (await check(side, shop, "pro"))["allowed"]


async def test_revoking_one_of_two_grants_leaves_the_other(side: Operating, shop: dict[str, str]) -> None:
    """Union of sources: what another grant gives stays."""
    _, first = await side.call("POST", GRANT, order())
    await side.call("POST", GRANT, order(reason="second"))
    await side.call("POST", REVOKE, {"project_id": "shop", "grant_id": first["grant_id"], "reason": "x"})
    assert (await check(side, shop, "pro"))["allowed"]
    body = {"project_id": "shop", "user_id": "ann", "feature": "pro", "reason": "all"}
    assert len((await side.call("POST", REVOKE, body))[1]["revoked"]) == 1
    assert not (await check(side, shop, "pro"))["allowed"]


async def test_grants_to_one_user_at_the_same_moment_are_all_kept(side: Operating, shop: dict[str, str]) -> None:
    """Each of many concurrent grants is in the document at the end, and revisions have no gap."""
    wishes = [order(feature="seats", value=n + 1, reason=f"r{n}") for n in range(12)]
    answers = await asyncio.gather(*[side.call("POST", GRANT, wish) for wish in wishes])
    assert {status for status, _ in answers} == {201}
    _, document = await side.call("GET", "/api/v1/entitlements?user_id=ann", headers=shop)
    assert sorted(row["value"] for row in document["entitlements"]) == list(range(1, 13))
    assert await side.rows("SELECT count(*), max(revision) FROM outbox") == [(14, 14)]


async def test_recompute_repairs_one_user_at_once(side: Operating, shop: dict[str, str]) -> None:
    """A document that was damaged is right again, in a new revision; a right one is left alone."""
    await side.call("POST", GRANT, order())
    status, body = await side.call("POST", RECOMPUTE, {"project_id": "shop", "user_id": "ann"})
    assert (status, body["changed"]) == (200, False)
    await side.rows("UPDATE manual_grants SET revoked_at = now(), revoked_by = 'sql' RETURNING id")
    status, body = await side.call("POST", RECOMPUTE, {"project_id": "shop", "user_id": "ann"})
    assert (status, body["changed"]) == (200, True)
    assert not (await check(side, shop, "pro"))["allowed"]


async def test_recompute_of_a_project_is_a_job(side: Operating, shop: dict[str, str]) -> None:
    """It is answered at once and worked off in the background."""
    await side.call("POST", GRANT, order())
    await side.rows("UPDATE manual_grants SET revoked_at = now(), revoked_by = 'sql' RETURNING id")
    status, body = await side.call("POST", RECOMPUTE, {"project_id": "shop"})
    assert (status, set(body)) == (202, {"project_id", "job_id"})
    jobs = side.jobs()
    while await jobs.step():
        pass
    assert not (await check(side, shop, "pro"))["allowed"]
    assert await side.rows("SELECT done, finished_at IS NOT NULL FROM recompute_jobs WHERE targets IS NULL") == [
        (1, True)
    ]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_body"),
        ({"project_id": "none"}, 404, "unknown_project"),
        ({"project_id": "shop", "user_id": "nobody"}, 404, "unknown_user"),
        ({"project_id": "shop", "user_id": ""}, 400, "user_required"),
    ],
)
async def test_a_bad_recompute_is_refused(
    side: Operating, shop: dict[str, str], body: dict[str, Any], status: int, code: str
) -> None:
    """Each fault has its own code, and a typo makes no user."""
    answered, problem = await side.call("POST", RECOMPUTE, body)
    assert (answered, problem["code"]) == (status, code)
    assert await side.rows("SELECT count(*) FROM users") == [(0,)]
