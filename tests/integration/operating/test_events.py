"""Received events are found, read and replayed; a replay mends whatever had gone wrong, and never harms."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner

from tests.integration.operating.conftest import Desk
from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest, until
from tests.support.stripe_objects import NOW
from writer.cli import main
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError

UPDATED = "customer.subscription.updated"
REPLAY = "/api/v1/admin/replay"
SETTLED = "SELECT NOT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')"


async def _work(ingest: Ingest) -> None:
    async with ingest.working():
        await until(ingest, SETTLED)


async def _parked(ingest: Ingest, *names: str) -> list[str]:
    """Events of subscriptions that Stripe refuses to tell of."""
    sent = [stripe.thin_event("subscription", name) for name in names]
    ingest.stripe.fault = StripeRefusedError("boom", "not today")
    await ingest.deliver(*sent)
    ingest.stripe.fault = None
    return [one["id"] for one in sent]


def _billing(desk: Desk, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["events", *arguments], env={"DATABASE_URL": desk.database_url})


async def test_events_are_listed_by_page_and_by_what_they_are(desk: Desk) -> None:
    """Status, type, object and time choose; pages follow each other without a gap, the last received first."""
    sent = [stripe.event(UPDATED, stripe.subscription(f"sub_{n}")) for n in range(5)]
    await desk.ingest.deliver(*sent, stripe.event("charge.succeeded", {"id": "ch_1", "object": "charge"}))
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        status, page = await desk.side.call("GET", f"/api/v1/admin/events?limit=4&after={after}")
        assert status == 200
        found += [one["id"] for one in page["events"]]
        after = page["next"]
    assert sorted(found[1:]) == sorted(one["id"] for one in sent)
    assert [len(await _ids(desk, query)) for query in (
        "status=ignored", "status=applied&status=ignored", "type=charge.*", f"type={UPDATED}", "type=charge",
        "object_id=sub_3", "since=2030-01-01T00:00:00Z", "until=2030-01-01T00:00:00Z",
    )] == [1, 6, 1, 5, 0, 1, 0, 6]  # fmt: skip
    status, one = await desk.side.call("GET", f"/api/v1/admin/events/{sent[3]['id']}")
    assert (one["status"], one["object_id"], one["payload"]) == ("applied", "sub_3", sent[3])


async def _ids(desk: Desk, query: str) -> list[str]:
    _, page = await desk.side.call("GET", f"/api/v1/admin/events?{query}")
    return [one["id"] for one in page["events"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/api/v1/admin/events?status=lost", None, 400, "invalid_status"),
        ("GET", "/api/v1/admin/events?limit=0", None, 400, "invalid_limit"),
        ("GET", "/api/v1/admin/events?limit=all", None, 400, "invalid_limit"),
        ("GET", "/api/v1/admin/events?since=now", None, 400, "invalid_time"),
        ("GET", "/api/v1/admin/events?after=evt_none", None, 400, "invalid_cursor"),
        ("GET", "/api/v1/admin/events/evt_none", None, 404, "unknown_event"),
        ("POST", REPLAY, {"event_id": "evt_none"}, 404, "unknown_event"),
        ("POST", REPLAY, {"event_id": "evt_1", "type": "invoice.*"}, 400, "invalid_body"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    desk: Desk, method: str, path: str, body: Any, status: int, code: str
) -> None:
    """With a code that says what is wrong."""
    answered, problem = await desk.side.call(method, path, body)
    assert (answered, problem["code"]) == (status, code)


async def test_a_parked_event_is_replayed(desk: Desk) -> None:
    """Its object is fetched and applied, its tries count from the beginning, and the audit log knows who wanted it."""
    (event_id,) = await _parked(desk.ingest, "sub_1")
    assert await desk.ingest.statuses() == {event_id: "parked"}
    desk.ingest.stripe.hold(stripe.subscription())
    status, done = await desk.side.call("POST", REPLAY, {"event_id": event_id, "reason": "mended"})
    assert (status, done["events"]) == (200, 1)
    _, shown = await desk.side.call("GET", f"/api/v1/admin/events/{event_id}")
    assert (shown["status"], shown["attempts"]) == ("pending", 0)
    await _work(desk.ingest)
    assert await desk.ingest.statuses() == {event_id: "applied"}
    assert list(await desk.ingest.held()) == ["sub_1 export"]
    rows = await desk.side.rows("SELECT subject, reason, before FROM audit_log WHERE action = 'event.replay'")
    assert rows == [(f"event:{event_id}", "mended", {"status": "parked"})]


async def test_an_old_applied_event_replayed_mends_its_object(desk: Desk) -> None:
    """However old the event, its object is fetched: what Stripe holds now is what counts, not what the event said."""
    first = stripe.event(UPDATED, stripe.subscription(), NOW)
    ended = stripe.subscription(status="canceled", ended_at=NOW + 50)
    await desk.ingest.deliver(first, stripe.event(UPDATED, ended, NOW + 60))
    desk.ingest.stripe.hold(ended)
    await desk.ingest.query("UPDATE subscriptions SET status = 'active'")  # as a fault of ours might have left it
    await desk.side.call("POST", REPLAY, {"event_id": first["id"]})
    await _work(desk.ingest)
    assert desk.ingest.stripe.asked["sub_1"] == 1
    assert [row.status for row in await desk.ingest.query("SELECT status FROM subscriptions")] == ["canceled"]


async def test_everything_parked_is_replayed_at_once(desk: Desk) -> None:
    """A rehearsal counts first; then the described ones are due, the others stay."""
    await _parked(desk.ingest, "sub_1", "sub_1", "sub_2")
    kept = await _parked(desk.ingest, "sub_3")
    desk.ingest.stripe.hold(stripe.subscription("sub_1"), stripe.subscription("sub_2"))
    chosen = {"type": "v1.subscription.*", "object_id": "sub_3", "dry_run": True}
    assert (await desk.side.call("POST", REPLAY, chosen))[1]["event_ids"] == kept
    status, done = await desk.side.call("POST", REPLAY, {"object_id": "sub_1"})
    assert (status, done["events"], done["objects"]) == (200, 2, 1)
    _, done = await desk.side.call("POST", REPLAY, {"object_id": "sub_2"})
    await _work(desk.ingest)
    assert list(await desk.ingest.held()) == ["sub_1 export", "sub_2 export"]
    assert desk.ingest.stripe.asked["sub_1"] == 3, "one fetch for both of its events, beside those that failed"
    assert {name for name, status in (await desk.ingest.statuses()).items() if status == "parked"} == set(kept)
    assert (await desk.side.call("POST", REPLAY, {}))[1]["event_ids"] == kept, "parked ones where nothing is said"


async def test_what_waits_for_its_next_try_is_tried_now(desk: Desk) -> None:
    """An event that was put off for an hour is due at once."""
    sent = stripe.thin_event("subscription", "sub_1")
    desk.ingest.stripe.fault = StripeUnavailableError("away", retry_after=3_600)
    await desk.ingest.deliver(sent)
    desk.ingest.stripe.fault = None
    desk.ingest.stripe.hold(stripe.subscription())
    await desk.side.call("POST", REPLAY, {"status": "pending"})
    await _work(desk.ingest)
    assert list(await desk.ingest.held()) == ["sub_1 export"]


@pytest.mark.parametrize(
    "sent",
    [
        stripe.event(UPDATED, stripe.subscription(), livemode=True),
        stripe.event(UPDATED, stripe.subscription(), account="acct_1"),
        stripe.event("charge.succeeded", {"id": "ch_1", "object": "charge"}),
    ],
    ids=["mode", "connect", "type"],
)
async def test_what_is_not_ours_is_never_replayed(desk: Desk, sent: Any) -> None:
    """Alone it is refused with the reason; among many it is left out."""
    await desk.ingest.deliver(sent)
    status, problem = await desk.side.call("POST", REPLAY, {"event_id": sent["id"]})
    assert (status, problem["code"]) == (409, "event_not_ours")
    assert (await desk.side.call("POST", REPLAY, {"status": "ignored"}))[1]["events"] == 0


async def test_what_concerned_nobody_may_concern_somebody_now(desk: Desk) -> None:
    """A subscription ignored for its price is replayed once a catalogue has that price."""
    other = stripe.subscription(prices=("price_new",), metadata={"user_id": "ada"})
    sent = stripe.event(UPDATED, other)
    desk.ingest.stripe.hold(other, stripe.price("price_new", "prod_new"), stripe.product("prod_new"), stripe.customer())
    await desk.ingest.deliver(sent)
    assert await desk.ingest.statuses() == {sent["id"]: "ignored"}
    assert (await desk.side.call("POST", REPLAY, {"status": ["ignored"]}))[1]["event_ids"] == [sent["id"]]


async def test_the_command_waits_for_the_outcome(desk: Desk) -> None:
    """`replay --wait` tells what became of the events, and fails where one failed again."""
    good, bad = await _parked(desk.ingest, "sub_1", "sub_2")
    desk.ingest.stripe.hold(stripe.subscription("sub_1"))
    async with desk.ingest.working():
        done = await asyncio.to_thread(_billing, desk, "replay", good, "--wait", "20")
        assert (done.exit_code, "1 applied" in done.stdout) == (0, True), done.output
        desk.ingest.stripe.fault = StripeRefusedError("boom", "not today")
        done = await asyncio.to_thread(_billing, desk, "replay", "--all", "--wait", "20", "--yes", "--json")
    assert done.exit_code == 1
    assert "failed again" in done.stderr
    assert json.loads(done.stdout)["became"] == {"parked": 1}
    assert bad in (await asyncio.to_thread(_billing, desk, "list", "--status", "parked")).stdout


async def test_the_commands_list_show_and_rehearse(desk: Desk) -> None:
    """For people and for programs; nothing is replayed by a dry run, nor by a command that names nothing."""
    (event_id,) = await _parked(desk.ingest, "sub_1")
    listed = await asyncio.to_thread(_billing, desk, "list", "--object", "sub_1", "--json")
    assert [one["id"] for one in json.loads(listed.stdout)["events"]] == [event_id]
    shown = await asyncio.to_thread(_billing, desk, "show", event_id)
    assert ("not today" in shown.stdout, '"related_object"' in shown.stdout) == (True, True)
    rehearsed = await asyncio.to_thread(_billing, desk, "replay", "--all", "--dry-run")
    assert rehearsed.stdout == "would replay 1 events of 1 objects\n"
    refused = await asyncio.to_thread(_billing, desk, "replay")
    assert (refused.exit_code, "name one EVENT" in refused.stderr) == (2, True)
    assert await desk.ingest.statuses() == {event_id: "parked"}
