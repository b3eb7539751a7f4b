"""Projects and keys over the admin routes."""

from typing import Any

import pytest
from yarl import URL

from tests.support.operating import ADMIN, Operating

PATH = "/api/v1/admin/projects"


async def test_a_new_project_can_be_followed_at_once(side: Operating) -> None:
    """Its empty catalogue is revision 1, in the outbox, and a relay may lease it."""
    status, body = await side.call("POST", PATH, {"project_id": "shop", "return_hosts": ["shop.example.com"]})
    assert status == 201
    assert (body["project_id"], body["name"], body["revision"], body["catalog_version"]) == ("shop", "shop", 1, 1)
    assert body["epoch"] > 1_700_000_000
    assert await side.rows("SELECT op, revision FROM outbox") == [("catalog", 1)]
    assert await side.rows("SELECT fence, owner FROM relay_leases") == [(0, None)]
    assert await side.rows("SELECT home_oid = tableoid FROM projects") == [(True,)]
    ((actor, action, origin),) = await side.rows(
        "SELECT actor, action, origin FROM audit_log WHERE action = 'project.create'"
    )
    assert actor.startswith("admin-key:")
    assert action == "project.create"
    assert origin == "127.0.0.1"
    assert side.commits


async def test_a_project_is_listed_shown_and_changed(side: Operating) -> None:
    """PATCH changes what it names and leaves the rest; both states stand in the audit log."""
    await side.call("POST", PATH, {"project_id": "shop", "name": "Shop"})
    status, body = await side.call("PATCH", f"{PATH}/shop", {"return_hosts": ["localhost:3000"]})
    assert (status, body["name"], body["return_hosts"]) == (200, "Shop", ["localhost:3000"])
    status, body = await side.call("PATCH", f"{PATH}/shop", {"portal_configuration": "bpc_1"})
    assert (status, body["portal_configuration"]) == (200, "bpc_1")
    status, body = await side.call("PATCH", f"{PATH}/shop", {"portal_configuration": ""})
    assert (status, body["portal_configuration"]) == (200, None)
    assert (await side.call("GET", f"{PATH}/shop"))[1] == body
    assert (await side.call("GET", PATH))[1] == {"projects": [body], "next": None}
    assert await side.rows("SELECT count(*) FROM audit_log WHERE action = 'project.update'") == [(3,)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_body"),
        ({"project_id": 5}, 400, "invalid_body"),
        ({"project_id": "shop", "typo": 1}, 400, "invalid_body"),
        ([], 400, "invalid_body"),
        ({"project_id": ""}, 400, "invalid_project"),
        ({"project_id": "a b"}, 400, "invalid_project"),
        ({"project_id": "x" * 65}, 400, "invalid_project"),
        ({"project_id": "."}, 400, "invalid_project"),
        ({"project_id": ".."}, 400, "invalid_project"),
        ({"project_id": "x", "name": ""}, 400, "invalid_name"),
        ({"project_id": "x", "name": "a\0b"}, 400, "invalid_body"),
        ({"project_id": "x", "return_hosts": ["https://shop.example.com"]}, 400, "invalid_return_hosts"),
        ({"project_id": "x", "return_hosts": ["Shop.example.com/a"]}, 400, "invalid_return_hosts"),
        ({"project_id": "taken"}, 409, "project_exists"),
    ],
)
async def test_a_bad_project_is_refused_with_its_reason(side: Operating, body: Any, status: int, code: str) -> None:
    """Each fault has its own code, and nothing is made."""
    await side.call("POST", PATH, {"project_id": "taken"})
    answered, problem = await side.call("POST", PATH, body)
    assert (answered, problem["code"]) == (status, code)
    assert problem["detail"]
    assert await side.rows("SELECT public_id FROM projects") == [("taken",)]


async def test_a_body_that_is_not_json_or_too_large_is_refused(side: Operating) -> None:
    """415 for another type, 413 over the limit, 400 for broken JSON: each says what to send."""
    for data, content_type, status, code in (
        (b"project_id=shop", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"{", "application/json", 400, "invalid_body"),
        (b'{"project_id": "\xff"}', "application/json", 400, "invalid_body"),
        (b"[" * 100_000, "application/json", 413, "body_too_large"),
        (b"[" * 60_000, "application/json", 400, "invalid_body"),
        (b"", "application/json", 400, "invalid_body"),
    ):
        headers = {**ADMIN, "Content-Type": content_type}
        async with side.client.post(PATH, data=data, headers=headers) as response:
            problem = await response.json(content_type=None)
            assert (response.status, problem["code"]) == (status, code), problem


async def test_keys_are_created_rotated_revoked_and_listed(side: Operating) -> None:
    """A key is shown once; the list shows prefixes and states only."""
    await side.call("POST", PATH, {"project_id": "shop"})
    status, first = await side.call("POST", f"{PATH}/shop/keys", {"app": "web"})
    assert status == 201
    assert first["key"].startswith(first["prefix"])
    status, second = await side.call("POST", f"{PATH}/shop/keys/{first['id']}/rotate", {"overlap_seconds": 60})
    assert (status, second["app"]) == (201, "web")
    status, gone = await side.call("POST", f"{PATH}/shop/keys/{first['id']}/revoke")
    assert status == 200
    assert gone["revoked_at"] is not None
    again = await side.call("POST", f"{PATH}/shop/keys/{first['id']}/revoke", {"reason": "twice"})
    assert again == (200, gone)
    _, listed = await side.call("GET", f"{PATH}/shop/keys")
    assert [key["id"] for key in listed["keys"]] == [first["id"], second["id"]]
    assert all("key" not in key for key in listed["keys"])
    actions = await side.rows("SELECT action FROM audit_log WHERE subject LIKE 'key:%' ORDER BY id")
    assert actions == [("key.create",), ("key.rotate",), ("key.revoke",)]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("nowhere/keys", {"app": "web"}, 404, "unknown_project"),
        ("shop/keys", {}, 400, "invalid_body"),
        ("shop/keys", {"app": "a b"}, 400, "invalid_app"),
        ("shop/keys", {"app": "web", "expires_at": "tomorrow"}, 400, "invalid_time"),
        ("shop/keys", {"app": "web", "expires_at": "2020-01-01T00:00:00Z"}, 400, "invalid_expiry"),
        ("shop/keys/9/rotate", {}, 404, "unknown_key"),
        ("shop/keys/x/rotate", {}, 400, "invalid_key_id"),
        (f"shop/keys/{2**63}/revoke", {}, 400, "invalid_key_id"),
        ("shop/keys/9/rotate", {"overlap_seconds": -1}, 400, "invalid_body"),
    ],
)
async def test_a_bad_wish_for_a_key_is_refused(side: Operating, path: str, body: Any, status: int, code: str) -> None:
    """Each fault has its own code."""
    await side.call("POST", PATH, {"project_id": "shop"})
    answered, problem = await side.call("POST", f"{PATH}/{path}", body)
    assert (answered, problem["code"]) == (status, code)


@pytest.mark.parametrize("name", ["%00", "%ed%a0%80", "%0d%0a", "..%2Fshop", "a" * 5000])
async def test_what_can_be_no_project_is_an_unknown_project(side: Operating, name: str) -> None:
    """404 that says what a project id looks like, on paths and in queries, also for what Postgres cannot hold."""
    for path in (f"{PATH}/{name}", f"{PATH}/{name}/keys", f"/api/v1/catalog?project_id={name}"):
        async with side.client.request("GET", URL(path, encoded=True), headers=ADMIN) as response:
            assert response.status == 404, path
            problem = await response.json(content_type=None)
        assert problem["code"] == "unknown_project"
        assert "A-Z a-z 0-9 _ . -" in problem["detail"]
