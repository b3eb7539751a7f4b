"""Grants in bulk, apps, unused keys and the audit log; every list page by page."""

import asyncio
import io
from typing import Any

import pytest

from tests.support.operating import ACTOR, ADMIN, Operating
from writer.operations import grant_import

API = "/api/v1/admin"
CATALOG = {"features": {"pro": {}, "seats": {"kind": "limit"}, "theme": {"kind": "config"}}}
HEAD = "user_id,project_id,feature,value,valid_to,reason\n"


@pytest.fixture
async def shop(side: Operating) -> dict[str, str]:
    """A key of a project with three features."""
    headers = await side.project()
    await side.call("PUT", f"{API}/projects/shop/catalog", CATALOG)
    return headers


async def _import(side: Operating, data: str | bytes | io.BytesIO, query: str = "") -> tuple[int, Any]:
    headers = {**ADMIN, "Content-Type": "text/csv"}
    async with side.client.post(f"{API}/grants/import{query}", data=data, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_grants_come_from_a_file_and_only_once(side: Operating, shop: dict[str, str]) -> None:
    """A rehearsal does nothing; done again, or cut off and gone on with, nobody is given anything twice."""
    many = "".join(f"u{number},shop,pro,,,beta\n" for number in range(grant_import._CHUNK + 5))
    file = f'{HEAD}ann,shop,seats,5,2099-01-01T00:00:00Z,beta\nbob,shop,theme,"{{""a"": 1}}",,"beta, wave 2"\n{many}'
    status, told = await _import(side, file, "?dry_run=true")
    assert (status, told["granted"], told["already"], told["dry_run"]) == (200, 107, 0, True)
    assert await side.rows("SELECT count(*) FROM manual_grants") == [(0,)]
    _, one = await _import(side, f"{HEAD}ann,shop,seats,5,2099-01-01T00:00:00Z,beta\n")
    assert one["rows"][0] | {"grant_id": 0} == {
        "line": 2, "project_id": "shop", "user_id": "ann", "feature": "seats", "outcome": "granted", "grant_id": 0,
        "reason": None,
    }  # fmt: skip
    _, told = await _import(side, file)
    assert (told["granted"], told["already"], [row["line"] for row in told["rows"]]) == (106, 1, list(range(2, 109)))
    assert (await _import(side, file))[1]["already"] == 107
    _, listed = await side.call("GET", f"{API}/grants?project_id=shop&user_id=bob")
    assert [(one["value"], one["reason"], one["state"]) for one in listed["grants"]] == [
        ({"a": 1}, "beta, wave 2", "active")
    ]
    await side.call("POST", f"{API}/revoke", {"project_id": "shop", "grant_id": 1, "reason": "over"})
    assert len((await side.call("GET", f"{API}/grants?state=revoked&feature=seats"))[1]["grants"]) == 1
    assert (await _import(side, file))[1]["granted"] == 1


@pytest.mark.parametrize(
    ("file", "faults"),
    [
        (
            f"{HEAD}ann,shop,pro,,,\nann,none,pro,,,x\nann,shop,nope,,,x\nann,shop,seats,many,,x\nann,shop,pro,,2000-01-01T00:00:00Z,x\n",
            ["line 2: reason must", "line 3: there is no project none", "line 4: nope is no feature", "line 5: value:",
             "line 6: valid_to must be after"],
        ),
        (f"{HEAD},shop,pro,,,x\nann,shop,a b,,,x\nann,shop,pro,,soon,x\nann,shop\n",
         ["line 2: user_id must", "line 3: feature must", "line 4: valid_to:", "line 5: has 2 columns"]),
        ("user_id,feature\nann,pro\n", ["line 1: there is no column project_id", "line 1: there is no column reason"]),
        ("", ["the file is empty"]),
        (b"\xff\x00\xfe", ["is not UTF-8 text"]),
    ],
)  # fmt: skip
async def test_a_file_with_a_fault_gives_nothing(
    side: Operating, shop: dict[str, str], file: str | bytes, faults: list[str]
) -> None:
    """Every fault is told with its line."""
    status, problem = await _import(side, file)
    assert (status, problem["code"], len(problem["faults"])) == (400, "invalid_import", len(faults))
    for fault, words in zip(sorted(problem["faults"]), faults, strict=True):
        assert words in fault
    assert await side.rows("SELECT count(*) FROM manual_grants") == [(0,)]


async def test_a_file_beyond_the_limits_is_refused(
    side: Operating, shop: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By rows and by bytes, and another media type than CSV."""
    monkeypatch.setattr(grant_import, "MOST_ROWS", 2)
    _, problem = await _import(side, HEAD + "a,shop,pro,,,x\n" * 3)
    assert "may have 2 rows" in problem["faults"][0]
    assert (await _import(side, io.BytesIO(b"x" * (grant_import.MOST_BYTES + 1))))[0] == 413
    assert (await side.call("POST", f"{API}/grants/import", {}))[0] == 415


async def test_an_app_is_renamed_disabled_and_enabled(side: Operating, shop: dict[str, str]) -> None:
    """Keys of a disabled app are refused within two seconds, and good again once it is enabled."""
    ask = ("GET", "/api/v1/check?user_id=u&feature=pro")
    assert (await side.call(*ask, headers=shop))[0] == 200
    path = f"{API}/projects/shop/apps"
    status, app = await side.call("PATCH", f"{path}/web", {"name": "website", "disabled": True, "reason": "loops"})
    assert (status, app["app"], app["good_keys"], app["disabled_at"] is None) == (200, "website", 1, False)
    side.clock.ahead += 2
    status, problem = await side.call(*ask, headers=shop)
    assert (status, problem["code"]) == (401, "disabled_app")
    assert (await side.call("POST", f"{API}/projects/shop/keys", {"app": "website"}))[1]["code"] == "app_disabled"
    await side.operations.create_key("shop", "worker", None, ACTOR)
    assert (await side.call("PATCH", f"{path}/worker", {"name": "website"}))[1]["code"] == "app_exists"
    assert (await side.call("PATCH", f"{path}/none", {}))[1]["code"] == "unknown_app"
    assert (await side.call("PATCH", f"{path}/website", {"disabled": False}))[1]["disabled_at"] is None
    side.clock.ahead += 2
    assert (await side.call(*ask, headers=shop))[0] == 200
    assert [one["app"] for one in (await side.call("GET", path))[1]["apps"]] == ["website", "worker"]
    (renamed, _) = await side.rows("SELECT before, after FROM audit_log WHERE action = 'app.update' ORDER BY id")
    assert (renamed[0]["app"], renamed[1]["app"]) == ("web", "website")


async def test_keys_that_nobody_uses_are_found(side: Operating, shop: dict[str, str]) -> None:
    """Good ones that were not shown for so many days, nor made; of one project or of all."""
    await side.project("blog")
    await side.call("GET", "/api/v1/catalog", headers=shop)
    await side.auth.note_use()
    await side.rows("UPDATE api_keys SET created_at = now() - interval '40 days' RETURNING id")

    async def unused(query: str) -> list[str]:
        return [one["project_id"] for one in (await side.call("GET", f"{API}/keys?{query}"))[1]["keys"]]

    assert await unused("") == ["shop", "blog"]
    assert await unused("unused_days=30") == ["blog"]
    assert await unused("unused_days=50") == []
    assert await unused("unused_days=30&project_id=shop") == []
    assert (await side.call("GET", f"{API}/keys?unused_days=0"))[0] == 400


async def test_every_act_stands_in_the_audit_log_with_before_and_after(side: Operating, shop: dict[str, str]) -> None:
    """Who, from where, what and why; found by each of these."""
    grant = {"project_id": "shop", "user_id": "ann", "feature": "seats", "value": 3, "reason": "contract"}
    await side.call("POST", f"{API}/grant", grant)
    await side.call("POST", f"{API}/revoke", {"project_id": "shop", "grant_id": 1, "reason": "over"})
    await side.call("POST", f"{API}/recompute", {"project_id": "shop", "user_id": "ann"})
    await side.call("POST", f"{API}/recompute", {"all": True})
    await side.call("POST", f"{API}/projects/shop/keys/1/revoke", {"reason": "leaked"})
    _, told = await side.call("GET", f"{API}/audit?actor=admin-key:*&limit=50")
    by_action = {one["action"]: one for one in told["acts"]}
    assert list(by_action) == [
        "key.revoke", "project.recompute", "user.recompute", "grant.revoke", "grant.create", "catalog.commit",
    ]  # fmt: skip
    assert all(one["origin"] == "127.0.0.1" and one["after"] is not None for one in told["acts"])
    made_before = {"grant.create", "project.recompute"}
    assert {action for action, one in by_action.items() if one["before"] is None} == made_before
    assert (by_action["grant.revoke"]["before"], by_action["key.revoke"]["reason"]) == (
        {"grants": [{"grant_id": 1, "feature": "seats", "value": 3}]}, "leaked",
    )  # fmt: skip

    async def found(query: str) -> list[str]:
        return [one["action"] for one in (await side.call("GET", f"{API}/audit?{query}"))[1]["acts"]]

    assert await found("subject=user:ann&action=grant.*") == ["grant.revoke", "grant.create"]
    assert await found("action=grant_") == []
    assert await found("project_id=shop&until=2000-01-01T00:00:00Z") == []
    assert (await side.call("GET", f"{API}/audit?project_id=none"))[0] == 404


async def test_every_list_goes_on_where_its_page_ended(side: Operating, shop: dict[str, str]) -> None:
    """Each row once, in one order, also where more is written meanwhile; a cursor of another list is refused."""
    for name in ("a", "b", "c"):
        await side.operations.create_project(name, name, [], ACTOR)
        await side.operations.create_key("shop", name, None, ACTOR)
        grant = {"project_id": "shop", "user_id": name, "feature": "pro", "reason": "x"}
        await side.call("POST", f"{API}/grant", grant)
    lists = {
        f"{API}/projects": "projects", f"{API}/projects/shop/keys": "keys", f"{API}/keys": "keys",
        f"{API}/projects/shop/apps": "apps", f"{API}/grants": "grants", f"{API}/audit": "acts",
        f"{API}/users": "users",
    }  # fmt: skip
    cursors = []
    for path, member in lists.items():
        _, whole = await side.call("GET", f"{path}?limit=100")
        assert (len(whole[member]) > 2, whole["next"]) == (True, None), path
        pages: list[Any] = []
        after = ""
        while True:
            _, page = await side.call("GET", f"{path}?limit=2&after={after}")
            pages += page[member]
            assert len(page[member]) <= 2
            if page["next"] is None:
                break
            after = page["next"]
        assert pages == whole[member], path
        cursors.append(after)
    answers = await asyncio.gather(
        *[side.call("GET", f"{path}?after={cursors[index - 1]}") for index, path in enumerate(lists)]
    )
    assert {(status, problem["code"]) for status, problem in answers} == {(400, "invalid_cursor")}
