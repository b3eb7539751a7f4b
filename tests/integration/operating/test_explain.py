"""Explain tells each source with what became of it, what is in the way, and where sidecars are; now and in the past."""

from common.clock import SECOND, Instant, format_time
from common.position import Position
from tests.support import stripe_objects as stripe
from tests.support.explaining import Counter
from tests.support.operating import ACTOR
from tests.support.stripe_objects import MONTH, NOW, Json
from writer.relay.presence import Presence

UPDATED, COMPLETED = "customer.subscription.updated", "checkout.session.completed"
DAY = 86_400


async def test_each_source_is_told_with_what_became_of_it(counter: Counter) -> None:
    """Cancelled, past due beyond its grace, of a price of nobody's, moved, refunded, revoked: each with its reason."""
    await counter.deliver(UPDATED, stripe.subscription("sub_over"), NOW)
    moved = await counter.deliver(UPDATED, stripe.subscription("sub_bobs"), NOW)
    await counter.deliver(UPDATED, stripe.subscription("sub_late"), NOW)
    odd = stripe.subscription("sub_odd", prices=("price_odd",), metadata={"user_id": "ada"})
    counter.ingest.stripe.hold(stripe.price("price_odd", "prod_odd"), stripe.product("prod_odd"))
    await counter.deliver(UPDATED, odd, NOW)
    bought = await counter.deliver(COMPLETED, stripe.session("cs_1"), NOW)
    ended = stripe.subscription("sub_over", status="canceled", ended_at=NOW + DAY, canceled_at=NOW + DAY)
    await counter.deliver(UPDATED, ended, NOW + DAY)
    bobs = stripe.subscription("sub_bobs", metadata={"user_id": "bob", "project_id": "shop"})
    left = await counter.deliver(UPDATED, bobs, NOW + DAY)
    await counter.deliver("invoice.finalized", stripe.invoice("in_1", "sub_late"), NOW + DAY)
    await counter.deliver(UPDATED, stripe.subscription("sub_late", status="past_due"), NOW + DAY)
    refund = await counter.deliver("refund.created", stripe.refund(), NOW + DAY)
    counter.ingest.clock.at = NOW + 40 * DAY

    export = await counter.feature("export")
    assert counter.fates(export) == {
        "sub_over": "ended", "sub_bobs": "anothers", "sub_late": "grace_over", "sub_odd": "not_placed",
    }  # fmt: skip
    bob = next(source for source in export["sources"] if source["ref"] == "sub_bobs")
    assert (bob["came"]["cause"], bob["went"]["cause"]) == (moved["id"], left["id"])
    assert (bob["came"]["event"]["type"], bob["words"]) == (UPDATED, "it is bob in shop's now")
    mends = {cause["object_id"]: cause["mend"] for cause in export["causes"]}
    assert mends["sub_bobs"] == "if it is this user's: billing claim sub_bobs ada"
    assert [price["price_id"] for price in export["unlocked_by"]] == ["price_pro"]

    archive = await counter.feature("archive")
    (purchase,) = (source for source in archive["sources"] if source["kind"] == "purchase")
    assert (purchase["fate"], purchase["came"]["cause"], purchase["went"]["cause"]) == (
        "refunded", bought["id"], refund["id"],
    )  # fmt: skip
    whole = await counter.explain()
    held = {one["ref"]: one for one in whole["holdings"]}
    assert [one["id"] for one in held["cs_1"]["refunds"]] == ["re_1"]
    assert [one["id"] for one in held["sub_late"]["invoices"]] == ["in_1"]
    assert whole["customers"] == ["cus_1"]


async def test_the_past_is_told_as_far_as_it_is_kept(counter: Counter) -> None:
    """At each moment its own answer, by which source; what is not kept is said; the future goes by what is known."""
    await counter.deliver(UPDATED, stripe.subscription(), NOW)
    await counter.deliver(COMPLETED, stripe.session("cs_1"), NOW + 10)
    await counter.deliver("refund.created", stripe.refund() | {"created": NOW + 2 * DAY}, NOW + 2 * DAY)
    over = stripe.subscription(status="canceled", ended_at=NOW + 3 * DAY, canceled_at=NOW + 3 * DAY)
    await counter.deliver(UPDATED, over, NOW + 3 * DAY)
    counter.ingest.clock.at = NOW + 5 * DAY

    def at(seconds: float) -> str:
        return format_time(Instant(round((NOW + seconds) * SECOND)))

    told = [await counter.feature(code, at=at(moment)) for code in ("export", "archive") for moment in (DAY, 4 * DAY)]
    assert [one["allowed"] for one in told] == [True, False, True, False]
    assert [list(counter.fates(one).values()) for one in told] == [["counts"], ["ended"], ["counts"], ["refunded"]]
    later = stripe.subscription("sub_his", metadata={"user_id": "bob", "project_id": "shop"})
    await counter.deliver(UPDATED, stripe.subscription("sub_his"), NOW + 4 * DAY)
    await counter.deliver(UPDATED, later, NOW + 5 * DAY)
    bobs = await counter.feature("export", "bob", at=at(4.5 * DAY))
    assert (bobs["allowed"], counter.fates(bobs)) == (False, {"sub_his": "anothers"})
    before = await counter.explain(at=at(-DAY))
    assert (before["past"], before["sidecars"], before["document"]) == (True, None, None)
    assert before["features"] == []
    assert any("no change" in limit for limit in before["limits"])
    assert any("sidecars are not kept" in limit for limit in before["limits"])
    await counter.deliver(UPDATED, stripe.subscription("sub_2"), NOW + 5 * DAY)
    to_come = await counter.feature("export", at=at(2 * MONTH))
    assert (to_come["allowed"], counter.fates(to_come)["sub_2"]) == (False, "lapsed")


async def test_what_is_in_the_way_is_named_with_what_mends_it(counter: Counter) -> None:
    """Somebody unknown, known elsewhere only, a typo, a document that was not computed, a job that has not come yet."""
    assert counter.codes(await counter.feature("export", "nobody")) == ["unknown_user"]
    assert counter.codes(await counter.feature("exprot")) == ["unknown_feature"]
    await counter.operations.create_project("maps", "maps", [], ACTOR)
    await counter.ingest.query(
        "INSERT INTO users (project_id, user_id) SELECT id, 'eve' FROM projects WHERE public_id = 'maps'"
    )
    assert counter.codes(await counter.feature("export", "eve")) == ["other_project", "unknown_user"]
    await counter.ingest.grant("ada", "archive")
    assert counter.codes(await counter.feature("export")) == ["no_source"]
    await counter.ingest.query(
        "INSERT INTO manual_grants (user_ref, feature_code, valid_from, reason, actor)"
        " SELECT id, 'export', '2026-01-01Z', 'by hand', 'x' FROM users WHERE user_id = 'ada'"
    )
    assert counter.codes(await counter.feature("export")) == ["document_behind"]
    assert not (await counter.explain())["document"]["right"]
    await counter.operations.recompute_project("shop", ACTOR)
    assert counter.codes(await counter.feature("export")) == ["recompute_running"]
    sent = stripe.event(UPDATED, stripe.subscription("sub_new"))
    await counter.ingest.receive(sent)
    assert "pending_event" in counter.codes(await counter.feature("export"))


async def test_what_is_nobodys_is_recognised_by_customer_metadata_or_address(counter: Counter) -> None:
    """What is surely the user's is said so; anything else that would give the feature is only a question."""
    await counter.deliver("customer.created", stripe.customer("cus_a", email="Ada@example.com"), NOW)
    for name, customer in (("sub_a", "cus_a"), ("sub_x", "cus_x")):
        await counter.deliver(UPDATED, stripe.subscription(name, customer=customer, metadata={}), NOW)
    found = (await counter.feature("export", "ada@example.com"))["causes"]
    told = {cause["object_id"]: cause["code"] for cause in found}
    assert (told["sub_a"], told["sub_x"]) == ("nobodys", "nobodys_candidate")
    assert "Ada@example.com" in next(cause["words"] for cause in found if cause["object_id"] == "sub_a")
    mends = [cause["mend"] for cause in (await counter.feature("export", "x; reboot"))["causes"]]
    assert "billing claim sub_x 'x; reboot', or set user_id in its metadata at Stripe" in mends
    assert "sub_a" not in {cause["object_id"] for cause in (await counter.feature("archive", "ada"))["causes"]}


async def test_every_sidecar_is_held_against_the_head(counter: Counter) -> None:
    """In step, behind by so many revisions, in another epoch, silent; and whether it lacks the user's document."""
    await counter.deliver(UPDATED, stripe.subscription(), NOW)
    await counter.ingest.query("UPDATE outbox SET committed_at = now() - interval '1 hour'")
    head = (await counter.operations.project("shop")).position
    now = float(NOW)

    def said(name: str, position: Position | None, ago: float) -> Presence:
        facts = {} if position is None else {"epoch": position.epoch, "revision": position.revision}
        return Presence(name, now - ago, position, facts)

    counter.directory.said = [
        said("even", head, 1), said("late", Position(head.epoch, head.revision - 1), 1),
        said("old", Position(head.epoch - 1, 900), 1), said("mute", None, 60), said("hung", head, 8),
        said("gone", None, 7_200),
    ]  # fmt: skip
    copies = (await counter.explain())["sidecars"]
    found = {one["instance"]: (one["state"], one["behind"], one["lacks_document"]) for one in copies["list"]}
    assert found == {
        "even": ("in_step", 0, False), "late": ("behind", 1, True), "old": ("other_epoch", None, True),
        "mute": ("silent", None, None), "hung": ("silent", 0, False),
    }  # fmt: skip
    assert copies["counts"] == {"in_step": 1, "behind": 1, "other_epoch": 1, "silent": 2}
    await counter.ingest.query("UPDATE outbox SET committed_at = now()")
    fresh = {one["instance"]: one["state"] for one in (await counter.explain())["sidecars"]["list"]}
    assert fresh["late"] == "in_step"
    counter.directory.said = None
    assert (await counter.explain())["sidecars"]["known"] is False


async def test_only_a_stuck_relay_is_freed(counter: Counter) -> None:
    """One that a writer renews is left alone; freed again nothing happens; the audit log has it once, and why."""

    async def lease(owner: str, seconds: int) -> None:
        await counter.ingest.query(
            "INSERT INTO relay_leases (project_id, owner, expires_at)"
            " SELECT id, :owner, now() + make_interval(secs => :s) FROM projects"
            " ON CONFLICT (project_id) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at",
            owner=owner,
            s=seconds,
        )

    async def release() -> tuple[int, Json]:
        path = "/api/v1/admin/projects/shop/relay/release"
        async with counter.client.post(path, json={"reason": "it is gone"}) as response:
            return response.status, await response.json(content_type=None)

    async def listed() -> str:
        async with counter.client.get("/api/v1/admin/sidecars?project_id=shop") as response:
            return str((await response.json())["relay"]["state"])

    assert await listed() == "free"
    await lease("writer-1", 3)
    assert ((await release())[1]["code"], await listed()) == ("lease_in_use", "held")
    await lease("writer-2", 86_400)
    assert await listed() == "stuck"
    assert [(await release())[1]["state"] for _ in range(2)] == ["free", "free"]
    told = "SELECT reason, before->>'owner' AS owner FROM audit_log WHERE action = 'relay.release'"
    rows = await counter.ingest.query(told)
    assert [tuple(row) for row in rows] == [("it is gone", "writer-2")]


async def test_a_question_that_makes_no_sense_is_refused(counter: Counter) -> None:
    """Without a project, with a user or a time that can be none, of a project that is not there."""
    named = {"project_id": "shop", "user_id": "ada"}
    asked: list[tuple[dict[str, str], int, str]] = [
        ({"user_id": "ada"}, 400, "project_required"),
        ({"project_id": "shop"}, 400, "user_required"),
        ({**named, "feature": "a b"}, 400, "invalid_feature"),
        ({**named, "at": "soon"}, 400, "invalid_time"),
        ({**named, "project_id": "none"}, 404, "unknown_project"),
    ]
    for query, status, code in asked:
        answered, problem = await counter.ask(query)
        assert (answered, problem["code"]) == (status, code)
    await counter.deliver(UPDATED, stripe.subscription(), NOW)
    for at in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        assert (await counter.ask({**named, "at": at}))[0] == 200
