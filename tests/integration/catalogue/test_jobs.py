"""Recompute jobs: what fails, whose turn it is, and what is held over until they are finished."""

import asyncio
from typing import Any

import pytest

from tests.support.holders import bought, subscribed
from tests.support.operating import Operating
from writer.catalogue.recompute_jobs import RecomputeJobs

SUM = {"calls": {"kind": "limit", "combine": "sum"}, "export": {}}
PLANS = {"price_1": {"features": {"calls": 1, "export": True}}}


async def put(side: Operating, body: dict[str, Any], project: str = "shop") -> None:
    """Put a catalogue in force."""
    status, answer = await side.call("PUT", f"/api/v1/admin/projects/{project}/catalog", body)
    assert status == 200, answer


async def work_off(jobs: RecomputeJobs) -> None:
    """Step until there is nothing left."""
    async with asyncio.timeout(40):
        while await jobs.step():
            pass


async def test_one_user_who_cannot_be_computed_holds_up_nobody(
    side: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunk is halved until that user is left, who is named in the audit log; all others get what they have."""
    monkeypatch.setattr("writer.recompute._LARGE_BYTES", 10_000)
    monkeypatch.setattr("writer.recompute._MOST_BYTES", 20_000)
    await side.project()
    await subscribed(side, "shop", "a", 40, "price_1")
    await bought(side, "shop", "hoarder", 200, "price_1")
    await subscribed(side, "shop", "z", 40, "price_1")
    await put(side, {"features": SUM, "plans": PLANS})
    await work_off(side.jobs())
    assert await side.rows("SELECT done, failed, total, finished_at IS NOT NULL FROM recompute_jobs") == [
        (80, 1, 81, True)
    ]
    assert await side.rows("SELECT count(*) FROM documents WHERE NOT is_empty") == [(80,)]
    ((subject, reason),) = await side.rows("SELECT subject, reason FROM audit_log WHERE action = 'recompute.skip'")
    assert subject == "user:hoarder"
    assert reason.startswith("DocumentTooLargeError: a user's entitlements would need ")
    assert await side.rows("SELECT after FROM audit_log WHERE action = 'recompute.finish'") == [
        ({"users": 80, "failed": 1},)
    ]


async def test_a_broken_job_waits_and_others_have_their_turn(side: Operating, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that fails is put off with its reason; another project's, begun later, is finished meanwhile."""
    for project in ("shop", "blog"):
        await side.project(project)
        await subscribed(side, project, f"{project}-", 3, "price_1" if project == "shop" else "price_2")
    await put(side, {"features": SUM, "plans": PLANS})
    await put(side, {"features": SUM, "plans": {"price_2": PLANS["price_1"]}}, "blog")
    good = side.recompute.users
    ((shop,),) = await side.rows("SELECT id FROM projects WHERE public_id = 'shop'")

    async def broken(connection: Any, refs: Any, cause: Any) -> Any:
        (project,) = (await connection.exec_driver_sql("SELECT project_id FROM users WHERE id = $1", (refs[0],))).one()
        if project == shop:
            raise RuntimeError("a fault of the program")
        return await good(connection, refs, cause)

    monkeypatch.setattr(side.recompute, "users", broken)
    jobs = side.jobs()
    for _ in range(4):
        await jobs.step()
    rows = await side.rows("SELECT attempts, last_error, finished_at IS NOT NULL FROM recompute_jobs ORDER BY id")
    assert rows == [(2, "RuntimeError: a fault of the program", False), (0, None, True)]
    monkeypatch.setattr(side.recompute, "users", good)
    await work_off(jobs)
    assert await side.rows("SELECT sum(done), sum(failed) FROM recompute_jobs") == [(6, 0)]


async def test_what_is_removed_leaves_last(side: Operating) -> None:
    """A deleted feature is known, and a lowered default counts, until the last holder is computed."""
    shop = await side.project()
    features: dict[str, Any] = {"export": {}, "seats": {"kind": "limit", "default": 5}}
    await put(side, {"features": features, "plans": {"price_1": {"features": ["export"]}}})
    await work_off(side.jobs())
    await subscribed(side, "shop", "u", 1, "price_1")
    await side.call("POST", "/api/v1/admin/recompute", {"project_id": "shop", "user_id": "u1"})

    async def answers() -> list[tuple[str, Any]]:
        found = []
        for code in ("export", "export_v2", "seats"):
            _, answer = await side.call("GET", f"/api/v1/check?user_id=u1&feature={code}", headers=shop)
            found.append((answer["reason"], answer["value"]))
        return found

    assert await answers() == [("granted", None), ("unknown_feature", None), ("granted", 5)]
    features = {"export_v2": {}, "seats": {"kind": "limit"}}
    await put(side, {"features": features, "plans": {"price_1": {"features": {"export_v2": True, "seats": 5}}}})
    assert await answers() == [("granted", None), ("not_granted", None), ("granted", 5)]
    jobs = side.jobs()
    assert await jobs.step()
    assert await answers() == [("not_granted", None), ("granted", None), ("granted", 5)]
    await work_off(jobs)
    assert await answers() == [("unknown_feature", None), ("granted", None), ("granted", 5)]
    ((last,),) = await side.rows("SELECT body FROM outbox WHERE op = 'catalog' ORDER BY revision DESC LIMIT 1")
    assert (sorted(last["features"]), last["features"]["seats"]["default"]) == (["export_v2", "seats"], None)
    versions = await side.rows("SELECT catalog_version, revision FROM projects")
    assert versions == [(4, 6)]


async def test_edits_while_a_job_is_open_hold_over_what_is_still_held_over(side: Operating) -> None:
    """Two edits, two jobs: only the last one to finish lets go."""
    await side.project()
    await subscribed(side, "shop", "u", 2, "price_1")
    await put(
        side, {"features": {"one": {}, "two": {}, "three": {}}, "plans": {"price_1": {"features": ["one", "two"]}}}
    )
    await work_off(side.jobs())
    await put(side, {"features": {"two": {}, "three": {}}, "plans": {"price_1": {"features": ["two"]}}})
    await put(side, {"features": {"three": {}}, "plans": {"price_1": {"features": ["three"]}}})

    async def known() -> list[str]:
        ((body,),) = await side.rows("SELECT body FROM outbox WHERE op = 'catalog' ORDER BY revision DESC LIMIT 1")
        return sorted(body["features"])

    assert await known() == ["one", "three", "two"]
    await work_off(side.jobs())
    assert await known() == ["three"]
    assert await side.rows("SELECT body FROM documents") == [
        ([{**one[0], "feature_code": "three"}],) for (one,) in await side.rows("SELECT body FROM documents")
    ]


async def test_a_job_waits_while_the_relay_is_behind(side: Operating) -> None:
    """Purchases are relayed in the order of revisions: a job adds none while too many wait; for ever it waits not."""
    await side.project()
    await subscribed(side, "shop", "u", 3, "price_1")
    await put(side, {"features": SUM, "plans": PLANS})
    behind = """UPDATE relay_leases SET owner = 'w', expires_at = now() + interval '1 hour', relayed_revision = 0,
        relayed_epoch = (SELECT epoch FROM projects) RETURNING 1"""
    await side.rows(behind)
    await side.rows("UPDATE projects SET revision = revision + 1000 RETURNING 1")
    await side.rows("UPDATE recompute_jobs SET next_attempt_at = now() RETURNING 1")
    jobs = side.jobs()
    assert not await jobs.step()
    await side.rows("UPDATE recompute_jobs SET next_attempt_at = now() - interval '1 second' RETURNING 1")
    assert await jobs.step()
