"""Users are found, merged into one another and erased; whatever Stripe says of them later follows."""

from typing import Any

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import UserId
from tests.integration.operating.conftest import Desk
from tests.support import stripe_objects as stripe
from tests.support.operating import ACTOR
from tests.support.stripe_objects import NOW, Json
from writer.apply import misassigned
from writer.operations import erasure
from writer.reconcile import ownership
from writer.reconcile.stages import Stage

USERS = "/api/v1/admin/users"
ADA = {"user_id": "ada", "project_id": "shop"}
ANON = {"user_id": "anon:1", "project_id": "shop"}


def _sub(name: str = "sub_1", **more: Any) -> Json:
    return stripe.subscription(name, end=NOW + 100 * stripe.MONTH, **more)


async def _receive(desk: Desk, *sources: Json, at: int = NOW) -> None:
    names = {
        "subscription": "customer.subscription.updated",
        "checkout.session": "checkout.session.completed",
        "customer": "customer.updated",
        "payment_intent": "payment_intent.succeeded",
        "invoice": "invoice.paid",
    }
    for source in sources:
        desk.ingest.stripe.hold(source)
        await desk.ingest.deliver(stripe.event(names[source["object"]], source, at))


async def _whose(desk: Desk, stage: Stage) -> tuple[Any, ...]:
    """What the nightly reconcile would find misplaced."""
    async with desk.ingest.engine.connect() as connection:
        return (await ownership.look(connection, stage, None)).misplaced


async def _merge(desk: Desk, old: str, new: str, **more: Any) -> tuple[int, Any]:
    body = {"project_id": "shop", "from": old, "into": new, **more}
    return await desk.side.call("POST", f"{USERS}/merge", body)


async def test_an_anonymous_user_becomes_another_one(desk: Desk) -> None:
    """All they have moves, both are computed; what names the old user later is the other's, and rightly so."""
    await _receive(
        desk,
        stripe.customer(metadata=ANON),
        _sub(metadata=ANON),
        stripe.session(metadata=ANON),
        _sub("sub_hers", customer="cus_2", metadata=ADA),
    )
    await desk.ingest.grant("anon:1", "export")
    status, done = await _merge(desk, "anon:1", "ada", reason="signed up")
    moved = {"subscriptions": 1, "purchases": 1, "grants": 1, "customers": 1}
    assert (status, done["changed"], done["moved"], done["from"], done["into"]) == (200, True, moved, "anon:1", "ada")
    assert await desk.ingest.held("anon:1") == {}
    assert sorted(await desk.ingest.held("ada")) == ["1 export", "cs_1 archive", "sub_1 export", "sub_hers export"]
    assert done["token"] == (await desk.side.operations.project("shop")).position.token

    await _receive(desk, _sub(metadata=ANON, status="past_due"), at=NOW + 60)
    await _receive(desk, _sub("sub_new", metadata=ANON), stripe.customer(metadata=ANON), at=NOW + 90)
    assert await desk.ingest.held("anon:1") == {}
    assert "sub_new export" in await desk.ingest.held("ada")
    for stage in (Stage.OWNERS_OF_CUSTOMERS, Stage.OWNERS_OF_SUBSCRIPTIONS, Stage.OWNERS_OF_PURCHASES):
        assert await _whose(desk, stage) == ()
    async with desk.ingest.engine.connect() as connection:
        assert await misassigned.ids(connection, misassigned.PROJECT_CUSTOMERS, {"project": "shop"}) == []

    _, shown = await desk.side.call("GET", "/api/v1/admin/user?project_id=shop&user_id=ada")
    assert (shown["merged_from"], len(shown["subscriptions"]), shown["customers"][0]["is_primary"]) == (
        ["anon:1"], 3, False,
    )  # fmt: skip
    _, old = await desk.side.call("GET", "/api/v1/admin/user?project_id=shop&user_id=anon%3A1")
    assert (old["merged_into"], old["subscriptions"]) == ("ada", [])
    assert (await _merge(desk, "anon:1", "ada"))[1]["changed"] is False
    assert await desk.side.rows(
        "SELECT subject, reason, before->>'user_id', after->>'user_id' FROM audit_log WHERE action = 'user.merge'"
    ) == [("user:anon:1", "signed up", "anon:1", "ada")]


async def test_who_was_merged_follows_when_the_other_is_merged_too(desk: Desk) -> None:
    """Names lead to whoever is the user by now, and never in a circle."""
    await _receive(desk, _sub(metadata=ANON))
    assert (await _merge(desk, "anon:1", "anon:2"))[0] == 200
    assert (await _merge(desk, "anon:2", "ada"))[0] == 200
    assert list(await desk.ingest.held("ada")) == ["sub_1 export"]
    await _receive(desk, _sub("sub_2", metadata=ANON))
    assert sorted(await desk.ingest.held("ada")) == ["sub_1 export", "sub_2 export"]
    assert (await _merge(desk, "ada", "anon:1"))[1]["changed"] is False
    status, problem = await _merge(desk, "anon:1", "bob")
    assert (status, problem["code"]) == (409, "already_merged")
    assert "merge ada into bob" in problem["detail"]
    assert (await _merge(desk, "ada", "ada"))[1]["code"] == "invalid_merge"
    assert (await _merge(desk, "nobody", "ada"))[1]["code"] == "unknown_user"


async def test_users_are_found_by_what_is_known_of_them(desk: Desk) -> None:
    """By how their ids begin, and by a customer, subscription or purchase; page by page."""
    await _receive(
        desk,
        stripe.customer(metadata=ADA),
        _sub(metadata=ADA),
        stripe.session(metadata=ADA),
        *(_sub(f"sub_u{n}", customer=f"cus_u{n}", metadata={**ADA, "user_id": f"u%{n}"}) for n in (1, 2)),
    )

    async def found(query: str) -> list[str]:
        return [one["user_id"] for one in (await desk.side.call("GET", f"{USERS}?{query}"))[1]["users"]]

    assert await found("project_id=shop") == ["ada", "u%1", "u%2"]
    assert await found("query=u%25") == ["u%1", "u%2"]
    for known in ("cus_1", "sub_1", "cs_1", "ad"):
        assert await found(f"query={known}") == ["ada"]
    first = (await desk.side.call("GET", f"{USERS}?limit=2"))[1]
    assert await found(f"limit=2&after={first['next']}") == ["u%2"]
    assert (await desk.side.call("GET", f"{USERS}?project_id=none"))[0] == 404


async def _everything(desk: Desk) -> str:
    """Every text in the database that may hold a name, payloads included."""
    tables = [str(row[0]) for row in await desk.side.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname NOT IN ('outbox', 'documents', 'idempotent_requests')"
    )]  # fmt: skip
    rows = [await desk.side.rows(f"SELECT t::text FROM {table} t") for table in tables]
    payloads = await desk.side.rows("SELECT convert_from(payload, 'UTF8') FROM webhook_events")
    return str([*rows, payloads])


async def test_an_erased_user_is_nobody_and_stays_so(desk: Desk) -> None:
    """No table tells the name or an address any more; amounts and ids stay, and nothing brings the name back."""
    named = {"user_id": "ada-lovelace", "project_id": "shop"}
    mail: Json = {
        "customer_email": "ada@example.com",
        "customer_details": {"email": "ada@example.com", "name": "A. L."},
    }
    over: Json = {"status": "canceled", "ended_at": NOW + 5}
    await _receive(
        desk,
        stripe.customer(metadata=named, email="ada@example.com"),
        _sub(metadata=named),
        stripe.session(metadata=named, **mail),
        stripe.session("cs_sub", metadata=named, mode="subscription", subscription="sub_1", prices=()),
        {"id": "pi_1", "object": "payment_intent", "receipt_email": "ada@example.com", "customer": "cus_1"},
        _sub("sub_bobs", customer="cus_2", metadata={**named, "user_id": "bob"}),
    )
    await desk.ingest.grant("ada-lovelace", "export")
    await desk.side.operations.recompute_user("shop", UserId("ada-lovelace"), ACTOR)
    body = {"project_id": "shop", "user_id": "ada-lovelace", "reason": "ada-lovelace asked for it"}
    status, problem = await desk.side.call("POST", f"{USERS}/erase", body)
    assert (status, problem["code"]) == (409, "still_subscribed")
    assert "sub_1" in problem["detail"]

    await _receive(desk, _sub(metadata=named, **over), at=NOW + 10)
    status, done = await desk.side.call("POST", f"{USERS}/erase", body)
    assert (status, done["erased"]) == (200, True)
    assert (done["counts"]["events"] - 1, done["counts"]["subscriptions"], done["counts"]["purchases"]) == (5, 1, 1)
    assert await desk.ingest.held("ada-lovelace") == {}
    kept = await _everything(desk)
    assert "lovelace" not in kept
    assert "ada@example.com" not in kept
    assert "sub_bobs" in kept
    assert await desk.side.rows("SELECT amount_total, user_id FROM purchases") == [(1000, done["pseudonym"])]
    ((subject, reason),) = await desk.side.rows("SELECT subject, reason FROM audit_log WHERE action = 'user.erase'")
    assert (subject, reason) == (f"user:{done['pseudonym']}", "… asked for it")

    again = (await desk.side.call("POST", f"{USERS}/erase", body))[1]
    assert (again["erased"], again["counts"]) == (False, {})
    await _receive(desk, stripe.customer(metadata=named), _sub(metadata=named, **over), at=NOW + 99)
    await desk.side.call("POST", "/api/v1/admin/replay", {"status": ["applied", "superseded"]})
    for one in ("cus_1", "sub_1", "cs_1", "cs_sub"):
        await desk.ingest.pipeline.process(one)
    assert await desk.side.rows("SELECT id FROM webhook_events WHERE status NOT IN ('superseded', 'ignored') "
                                "AND object_id IN ('cus_1', 'sub_1', 'cs_1', 'cs_sub')") == []  # fmt: skip
    for stage in (Stage.OWNERS_OF_CUSTOMERS, Stage.OWNERS_OF_SUBSCRIPTIONS, Stage.OWNERS_OF_PURCHASES):
        assert await _whose(desk, stage) == ()
    once_more = {"project_id": "shop", "user_id": done["pseudonym"]}
    assert (await desk.side.call("POST", f"{USERS}/erase", once_more))[1]["counts"] == {"events": 2}
    assert "lovelace" not in await _everything(desk)


async def test_what_sidecars_are_told_of_an_erasure_is_forgotten_later(desk: Desk) -> None:
    """The empty document keeps the name while Redis may have one, and no longer."""
    await desk.ingest.grant("ada", "export")
    await desk.side.call("POST", f"{USERS}/erase", {"project_id": "shop", "user_id": "ada"})
    ((told,),) = await desk.side.rows("SELECT body->>'user_id' FROM outbox ORDER BY revision DESC LIMIT 1")
    assert told == "ada"

    async def forget(connection: AsyncConnection) -> int:
        return await erasure.forget_names(connection, desk.ingest.project_id)

    assert await desk.ingest.transactions.run(forget) == 0
    await desk.side.rows("UPDATE users SET erased_at = now() - interval '3 days' RETURNING id")
    assert await desk.ingest.transactions.run(forget) == 1
    assert "ada" not in str(await desk.side.rows("SELECT user_id FROM documents"))


@pytest.mark.parametrize("name", ["active", "1", '"', "a%b_c"])
async def test_an_erasure_touches_nobody_elses(desk: Desk, name: str) -> None:
    """A name that is a common word, or has a meaning in SQL or JSON, is nobody else's data."""
    await _receive(desk, _sub(metadata={**ADA, "plan": name, "note": '"'}))
    before = await desk.side.rows("SELECT payload FROM webhook_events")
    await desk.ingest.grant(name, "export")
    status, done = await desk.side.call("POST", f"{USERS}/erase", {"project_id": "shop", "user_id": name})
    assert (status, done["erased"]) == (200, True)
    assert await desk.side.rows("SELECT payload FROM webhook_events") == before
    assert list(await desk.ingest.held("ada")) == ["sub_1 export"]
    assert orjson.loads(bytes(before[0][0]))["data"]["object"]["metadata"]["plan"] == name
