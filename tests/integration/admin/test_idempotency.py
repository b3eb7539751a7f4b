"""The same write with the same key is done once, whatever becomes of the writer that does it."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from common.problems import Problem
from tests.support.operating import ADMIN, Operating
from writer.api import replies
from writer.api.replies import Replies, Request
from writer.operations import audit
from writer.operations.audit import Act, Actor

PROJECTS = "/api/v1/admin/projects"
KEYED = {**ADMIN, "Idempotency-Key": "k 1"}
ASKED = Request("k", b"x" * 32, again=False)


async def test_a_repeated_write_is_answered_as_before(side: Operating) -> None:
    """Status, body and headers, marked as a repetition; another request with the key is refused, and keeps nothing."""
    first = await side.client.post(PROJECTS, json={"project_id": "shop"}, headers=KEYED)
    again = await side.client.post(PROJECTS, json={"project_id": "shop"}, headers=KEYED)
    assert (first.status, await first.json()) == (again.status, await again.json())
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    for method, path, body in (
        ("POST", PROJECTS, {"project_id": "blog"}),
        ("PATCH", f"{PROJECTS}/shop", {"project_id": "shop"}),
        ("POST", f"{PROJECTS}?x=1", {"project_id": "shop"}),
    ):
        status, problem = await side.call(method, path, body, headers=KEYED)
        assert (status, problem["code"]) in {(422, "idempotency_key_reused"), (400, "invalid_body")}
    assert await side.rows("SELECT count(*) FROM audit_log WHERE action = 'project.create'") == [(1,)]
    assert (await side.call("POST", PROJECTS, {"project_id": "shop"}, headers={"Idempotency-Key": "k 1"}))[0] == 401


async def test_a_refusal_is_judged_anew(side: Operating) -> None:
    """It changed nothing, so the same key works once what was in the way is gone."""
    body = {"app": "web"}
    assert (await side.call("POST", f"{PROJECTS}/shop/keys", body, headers=KEYED))[0] == 404
    assert await side.rows("SELECT count(*) FROM idempotent_requests") == [(0,)]
    await side.call("POST", PROJECTS, {"project_id": "shop"})
    assert (await side.call("POST", f"{PROJECTS}/shop/keys", body, headers=KEYED))[0] == 201


async def test_a_key_is_shown_once_and_never_kept(side: Operating) -> None:
    """A repetition makes no second key, and is told which one was made."""
    await side.call("POST", PROJECTS, {"project_id": "shop"})
    _, made = await side.call("POST", f"{PROJECTS}/shop/keys", {"app": "web"}, headers=KEYED)
    status, problem = await side.call("POST", f"{PROJECTS}/shop/keys", {"app": "web"}, headers=KEYED)
    assert (status, problem["code"], problem["made"]["id"]) == (409, "shown_once", made["id"])
    assert "key" not in problem["made"]
    assert made["key"].encode() not in bytes((await side.rows("SELECT body FROM idempotent_requests"))[0][0])
    assert await side.rows("SELECT count(*) FROM api_keys") == [(1,)]


async def test_a_grant_whose_answer_was_lost_is_answered_when_asked_again(
    side: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the writer died or still hangs: a grant knows its key, and waits for another claim only so long."""
    monkeypatch.setattr(replies, "_PAUSES", (0.01,))
    await side.call("POST", PROJECTS, {"project_id": "shop"})
    assert (await side.call("PUT", f"{PROJECTS}/shop/catalog", {"features": {"pro": {}}}))[0] == 200
    body = {"project_id": "shop", "user_id": "ada", "feature": "pro", "reason": "a test"}
    _, made = await side.call("POST", "/api/v1/admin/grant", body, headers=KEYED)
    await side.rows(
        "UPDATE idempotent_requests SET status = NULL, claimed_until = now() + interval '1 minute' RETURNING 1"
    )
    status, told = await side.call("POST", "/api/v1/admin/grant", body, headers=KEYED)
    assert (status, told["grant_id"]) == (200, made["grant_id"])
    assert await side.rows("SELECT count(*) FROM manual_grants") == [(1,)]


class _Killed(BaseException):
    """The process died here."""


async def test_a_writer_that_dies_before_the_act_leaves_the_key_to_the_next(
    side: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its claim lasts the request is being worked on; then it is done, once."""
    subject, other = Replies(side.engine), Replies(side.engine)
    monkeypatch.setattr(Replies, "_release", _nothing)

    async def die() -> web.StreamResponse:
        raise _Killed

    with pytest.raises(_Killed):
        await subject.once(ASKED, die)
    monkeypatch.setattr(replies, "_PAUSES", (0.0,))
    assert await _code(other, _done) == "idempotency_key_in_use"
    await side.rows("UPDATE idempotent_requests SET claimed_until = now() RETURNING key")
    assert await _code(other, _done) == "done"
    assert await _code(other, die) == "done"


async def test_a_writer_that_dies_after_the_act_never_has_it_done_twice(
    side: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The act's own transaction says that it was done; its answer is lost, and the caller learns that."""
    subject = Replies(side.engine)
    monkeypatch.setattr(Replies, "_release", _nothing)
    monkeypatch.setattr(replies, "_PAUSES", (0.0,))

    async def act_and_die() -> web.StreamResponse:
        await side.transactions.run(
            lambda connection: audit.record(connection, Actor("test"), Act("test.act", None, "test:1"))
        )
        raise _Killed

    with pytest.raises(_Killed):
        await subject.once(ASKED, act_and_die)
    await side.rows("UPDATE idempotent_requests SET claimed_until = now() RETURNING key")
    assert await _code(subject, _done) == "outcome_unknown"


async def test_of_many_at_once_one_acts_and_all_are_answered(side: Operating) -> None:
    """The others wait for it."""
    acts: list[None] = []

    async def slowly() -> web.StreamResponse:
        acts.append(None)
        await asyncio.sleep(0.1)
        return await _done()

    answers = await asyncio.gather(*[_code(Replies(side.engine), slowly) for _ in range(8)])
    assert (answers, len(acts)) == (["done"] * 8, 1)


async def _nothing(*_: Any) -> None:
    """Nobody is left to do it."""


async def _done() -> web.StreamResponse:
    return web.json_response({"code": "done"})


async def _code(subject: Replies, act: Any) -> str:
    try:
        answer = await subject.once(ASKED, act)
    except Problem as problem:
        return problem.code
    assert isinstance(answer, web.Response)
    return "done" if b'"done"' in bytes(answer.body) else "?"  # type: ignore[arg-type]
