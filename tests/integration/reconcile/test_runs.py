"""A run survives whoever works on it, is worked on by one at a time, and waits for a Stripe that is away."""

import asyncio
from typing import Any

import pytest

from tests.support.reconciling import ACTOR, Office, counts, found
from tests.support.town import owned
from tests.support.waiting import eventually, until
from writer.gateway.errors import StripeUnavailableError
from writer.gateway.stripe_lists import Listing, Page, StripeLists
from writer.reconcile import runs
from writer.reconcile.runs import Run
from writer.reconcile.stages import RunKind, Stage

MANY = 120
"""More than a page."""


async def missed(office: Office, count: int = MANY) -> list[str]:
    """So many subscriptions that were never heard of."""
    price = await office.town.price("export")
    customers = [await office.town.customer() for _ in range(3)]
    await office.miss()
    made = [await office.town.subscription(price, customer=customers[n % 3], user=f"user{n}") for n in range(count)]
    return [one.id for one in made]


async def stage(office: Office, run_id: int) -> tuple[Stage, str | None]:
    """Where a run is."""
    run = await office.requests.run(run_id)
    return run.stage, run.cursor


async def turned(office: Office, run: Run) -> bool:
    """Whether a page was turned, and not the last one of its list."""
    return (await stage(office, run.id))[1] is not None


async def counted(office: Office, run: Run, least: int) -> bool:
    """Whether so many unknown ones were found."""
    return (await office.requests.run(run.id)).counts.unknown_here >= least


async def claimed(office: Office, run: Run) -> bool:
    """Whether somebody works on it."""
    return (await office.requests.run(run.id)).claimed_by is not None


async def finished(office: Office, run: Run) -> bool:
    """Whether it is done."""
    return (await office.requests.run(run.id)).finished_at is not None


async def test_killed_in_the_middle_it_goes_on_behind_its_cursor(office: Office) -> None:
    """Another worker finishes it; nothing is listed twice, and the report is exactly that of one run."""
    ids = await missed(office)
    begun = await office.requests.begin(ACTOR, full=False)
    dead = asyncio.create_task(office.worker("dead").work_on(RunKind.RECONCILE))
    await eventually(lambda: turned(office, begun))
    await kill(office, dead)
    _, cursor = await stage(office, begun.id)
    assert cursor in ids
    listed = office.asked()["GET /v1/subscriptions"]
    await office.finish(office.worker("heir"), begun)
    report = await office.report(begun)
    assert found(report, "unknown_here").keys() >= set(ids)
    assert len([one for one in report["findings"] if one["object_id"] in ids]) == MANY
    assert counts(report) == {"unknown_here": len(found(report, "unknown_here"))}
    assert office.asked()["GET /v1/subscriptions"] - listed <= 1
    assert len(await office.town.ingest.query("SELECT id FROM subscriptions")) == MANY


async def kill(office: Office, task: "asyncio.Task[Any]") -> None:
    """End a worker as SIGKILL does: it gives nothing back, and its claim runs out."""
    held = await office.town.ingest.query("SELECT claimed_by FROM reconcile_runs")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await office.town.ingest.query(
        "UPDATE reconcile_runs SET claimed_by = :name, claimed_until = now() - interval '1 s'", name=held[0].claimed_by
    )


async def test_a_repair_is_in_the_report_though_its_worker_died_before_it_turned_the_page(office: Office) -> None:
    """What was repaired on a page that is done once more is counted once, and not forgotten."""
    ids = await missed(office, 20)
    begun = await office.requests.begin(ACTOR, full=False)
    dead = asyncio.create_task(office.worker("dead").work_on(RunKind.RECONCILE))
    await eventually(lambda: counted(office, begun, 7))
    await kill(office, dead)
    assert (await stage(office, begun.id))[0] is Stage.SUBSCRIPTIONS
    await office.finish(office.worker("heir"), begun)
    report = await office.report(begun)
    assert found(report, "unknown_here").keys() >= set(ids)
    assert report["unknown_here"] == len(found(report, "unknown_here"))


async def test_two_workers_share_no_run(office: Office) -> None:
    """While one works on it the other finds nothing to do, and nothing is listed twice."""
    ids = await missed(office, 30)
    begun = await office.requests.begin(ACTOR, full=False)
    again = await office.requests.begin(ACTOR, full=False)
    assert again.id == begun.id
    first = asyncio.create_task(office.worker("one").work_on(RunKind.RECONCILE))
    await eventually(lambda: claimed(office, begun))
    assert await office.worker("two").work_on(RunKind.RECONCILE) is None
    done = await first
    assert done is not None
    assert done.finished_at is not None
    assert office.asked()["GET /v1/subscriptions"] == 1
    assert found(await office.report(begun), "unknown_here").keys() >= set(ids)


async def test_who_lost_the_run_leaves_it_alone(office: Office) -> None:
    """A worker that slept over its claim moves nothing any more."""
    begun = await office.requests.begin(ACTOR, full=False)
    transactions = office.town.ingest.transactions
    slow = await transactions.run(lambda c: runs.claim(c, "slow", RunKind.RECONCILE))
    assert slow is not None
    await office.town.ingest.query("UPDATE reconcile_runs SET claimed_until = now() - interval '1 s'")
    await office.finish(office.worker("quick"), begun)
    done = await office.report(begun)
    with pytest.raises(runs.ClaimLostError):
        await transactions.run(lambda c: runs.move(c, slow, stage=Stage.REFUNDS, cursor=None, began_at=None))
    assert await office.report(begun) == done


async def test_a_page_that_takes_long_is_nobody_elses(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim is kept however long Stripe takes to answer."""
    for module in ("runs", "worker"):
        monkeypatch.setattr(f"writer.reconcile.{module}.CLAIM_SECONDS", 1.0)
    whole, answers = StripeLists.page, asyncio.Event()

    async def page(self: StripeLists, listing: Listing, **options: Any) -> Page:
        await answers.wait()
        return await whole(self, listing, **options)

    monkeypatch.setattr(StripeLists, "page", page)
    begun = await office.requests.begin(ACTOR, full=False)
    working = asyncio.create_task(office.worker("slow").work_on(RunKind.RECONCILE))
    await eventually(lambda: claimed(office, begun))
    claims = "SELECT claimed_until > created_at + interval '3 s' AS kept FROM reconcile_runs"

    async def kept() -> bool:
        return bool((await office.town.ingest.query(claims))[0].kept)

    await eventually(kept)
    assert await office.worker("other").work_on(RunKind.RECONCILE) is None
    answers.set()
    done = await working
    assert done is not None
    assert done.finished_at is not None


async def test_stripe_away_in_the_middle(office: Office) -> None:
    """The run waits, says why, and goes on where it was."""
    ids = await missed(office)
    begun = await office.requests.begin(ACTOR, full=False)
    working = asyncio.create_task(office.worker().work_on(RunKind.RECONCILE))
    await eventually(lambda: turned(office, begun))
    await office.town.shop.control("outage", mode="down")
    waits = await working
    assert waits is not None
    assert waits.finished_at is None
    assert "503" in str((await office.requests.run(begun.id)).last_error)
    assert await office.worker().work_on(RunKind.RECONCILE) is None  # not due yet
    await office.town.shop.control("outage", mode="none")
    await office.town.ingest.query("UPDATE reconcile_runs SET next_attempt_at = now()")
    office.transport.breaker.worked()
    await office.finish(office.worker(), begun)
    report = await office.report(begun)
    assert found(report, "unknown_here").keys() >= set(ids)
    assert (report["failed"], report["last_error"]) == (0, None)


async def test_one_object_that_cannot_be_read_stops_nobody(office: Office) -> None:
    """It is in the report with the reason; the rest is repaired."""
    town = office.town
    ids = await missed(office, 3)
    broken = town.shop.standin.store.get("subscription", ids[1])
    broken["status"] = "dormant"
    report = await office.reconciled()
    reason = "subscription.status is none that is known"
    assert reason in found(report, "failed")[ids[1]]["reason"]
    assert {ids[0], ids[2]} <= found(report, "unknown_here").keys()
    assert report["failed"] == 1


async def test_a_cursor_that_stripe_does_not_know_any_more(office: Office) -> None:
    """The list is read from its beginning again."""
    ids = await missed(office, 2)
    begun = await office.requests.begin(ACTOR, full=False)
    await office.town.ingest.query(
        "UPDATE reconcile_runs SET stage = 'open_invoices', cursor = :cursor", cursor="in_that_is_no_more"
    )
    await office.finish(office.worker(), begun)
    report = await office.report(begun)
    assert (report["state"], report["failed"]) == ("finished", 0)  # what it stood at was gone: listed again
    assert not set(ids) & found(report, "unknown_in_stripe").keys()


async def test_a_list_that_the_key_may_not_read(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries it is passed over and reported; the other lists are compared all the same."""
    whole, tried = StripeLists.page, 0

    async def page(self: StripeLists, listing: Listing, **options: Any) -> Page:
        nonlocal tried
        if listing is Listing.OPEN_INVOICES:
            tried += 1
            raise StripeUnavailableError("it refuses STRIPE_SECRET_KEY for this request (403)")
        return await whole(self, listing, **options)

    monkeypatch.setattr(StripeLists, "page", page)
    price = await office.town.price("archive", None)
    await office.miss()
    session = await office.town.shop.bought(price, mode="payment", metadata=owned())
    begun = await office.requests.begin(ACTOR, full=False)
    working = office.worker()
    async with asyncio.timeout(20):
        while not await finished(office, begun):
            await working.work_on(RunKind.RECONCILE)
            await office.town.ingest.query("UPDATE reconcile_runs SET next_attempt_at = now()")
    report = await office.report(begun)
    assert found(report, "failed").keys() == {"open_invoices"}
    assert "403" in found(report, "failed")["open_invoices"]["reason"]
    assert session.id in found(report, "unknown_here")
    assert tried > 3
    later = await office.requests.begin(ACTOR, full=False)
    assert later.since is not None
    assert later.since < begun.created_at  # a run that missed something is no beginning for the next


async def test_another_accounts_key_ends_nothing(office: Office) -> None:
    """Where Stripe has none of what is held, nothing is taken away, and the report asks for the right key."""
    town = office.town
    await town.subscribed(await town.price("export"))
    await town.settled()
    town.wait(60)
    for kind in ("product", "price", "subscription"):
        for one in list(town.shop.standin.store.all(kind)):
            town.shop.standin.store.remove(kind, one["id"])
    report = await office.reconciled()
    assert found(report, "failed").keys() == {"products_unlisted", "prices_unlisted"}
    assert "STRIPE_SECRET_KEY" in found(report, "failed")["products_unlisted"]["reason"]
    assert report["unknown_in_stripe"] == 1
    assert await town.features() == ["export"]


async def test_details_are_bounded_and_counts_are_not(office: Office, monkeypatch: Any) -> None:
    """A report keeps so many findings of a kind; the count goes on."""
    monkeypatch.setattr("writer.reconcile.findings.MOST_KEPT", 5)
    await missed(office, 9)
    report = await office.reconciled()
    assert report["unknown_here"] >= 9
    assert len(found(report, "unknown_here")) == 5


async def test_a_run_looks_back_to_where_the_last_one_began(office: Office) -> None:
    """What is over is listed from then on, by a margin; a full run lists everything."""
    first = await office.requests.begin(ACTOR, full=False)
    await office.finish(office.worker(), first)
    second = await office.requests.begin(ACTOR, full=False)
    assert second.since == first.created_at
    full = await office.requests.begin(ACTOR, full=True)
    assert (full.since, full.id != second.id) == (None, True)
    await office.finish(office.worker(), second)
    await office.finish(office.worker(), full)


async def test_old_reports_are_forgotten(office: Office) -> None:
    """After half a year a run goes with its findings, when another one ends."""
    await missed(office, 2)
    old = await office.reconciled()
    await office.town.ingest.query("UPDATE reconcile_runs SET finished_at = now() - interval '181 days'")
    new = await office.reconciled()
    assert [run.id for run in await office.requests.recent(10)] == [new["run_id"]]
    assert not await office.town.ingest.query(
        "SELECT run_id FROM reconcile_findings WHERE run_id = :id", id=old["run_id"]
    )


async def test_a_writers_worker_finds_a_run_by_itself(office: Office) -> None:
    """It is begun, worked on in the background, and metrics tell of it."""
    ids = await missed(office, 2)
    working = office.worker()
    task = asyncio.create_task(working.run())
    try:
        begun = await office.requests.begin(ACTOR, full=False)
        await eventually(lambda: finished(office, begun))
        registry = office.registries[-1]
        labels = {"finding": "unknown_here", "kind": "subscription"}
        assert registry.get_sample_value("billing_reconcile_findings_total", labels) == len(ids)
        await until(lambda: bool(registry.get_sample_value("billing_reconcile_last_finished_timestamp_seconds")))
        assert registry.get_sample_value("billing_reconcile_running") == 0
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
