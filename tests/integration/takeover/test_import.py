"""What was bought before this service existed is brought in: told before it is done, and done once."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.takeover.conftest import Takeover
from tests.integration.takeover.old_account import KINDS, OldAccount, populate
from tests.support.billing import billing
from tests.support.waiting import eventually

CUSTOMERS = 200


def _rows(takeover: Takeover, query: str) -> list[Any]:
    with psycopg.connect(takeover.database_url) as connection:
        return connection.execute(query).fetchall()


def _held(takeover: Takeover) -> dict[tuple[str, str], set[str]]:
    """Who holds what now, by the documents."""
    found: dict[tuple[str, str], set[str]] = {}
    for project, user, body in _rows(
        takeover, "SELECT p.public_id, d.user_id, d.body FROM documents d JOIN projects p ON p.id = d.project_id"
    ):
        now = _rows(takeover, "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")[0][0]
        valid = {row["feature_code"] for row in body if row["valid_to"] is None or row["valid_to"] > now}
        if valid:
            found[project, user] = valid
    return found


def _state(takeover: Takeover) -> list[Any]:
    """Everything that an import writes of customers and their purchases."""
    return _rows(
        takeover,
        "SELECT 'd', user_ref::text, body::text FROM documents UNION ALL SELECT 's', id, to_json(s)::text FROM "
        "subscriptions s UNION ALL SELECT 'p', id, to_json(p)::text FROM purchases p UNION ALL "
        "SELECT 'c', id, to_json(c)::text FROM stripe_customers c ORDER BY 1, 2",
    )


def _expected(account: OldAccount) -> dict[tuple[str, str], set[str]]:
    return {key: features for key, features in account.expected.items() if features}


async def test_a_live_account_is_taken_over(takeover: Takeover, tmp_path: Path) -> None:
    """Everybody gets what webhooks with metadata would have given; the rehearsal had told it, and wrote nothing."""
    account = await populate(takeover, CUSTOMERS)
    file = tmp_path / "customers.csv"
    file.write_text(account.map, encoding="utf-8-sig")
    before = _state(takeover)

    rehearsed = await takeover.json("import", "--dry-run", "--map", str(file))
    assert (_state(takeover), before) == ([], [])
    report = rehearsed["report"]
    assert (rehearsed["dry_run"], report["customers"]) == (True, CUSTOMERS)
    assert {one["id"] for one in report["unassigned"] if one["open"]} == account.nobodys
    assert {one["price_id"]: one["project_id"] for one in report["idle_prices"]} == {account.prices["alien"].id: None}
    tenth = CUSTOMERS // len(KINDS)
    assert report["projects"]["shop"]["features"] == {"fonts": 2 * tenth, "old": tenth, "pro": 5 * tenth}
    assert report["projects"]["maps"]["features"] == {"seats": tenth, "tiles": tenth}

    done = await takeover.json("import", "--yes", "--map", str(file))
    assert done["report"] == report
    assert (done["run"]["state"], done["run"]["failed"], done["linked"]) == ("finished", 0, len(account.rows))
    assert _held(takeover) == _expected(account)
    listed = await takeover.json("unassigned")
    assert {one["id"] for one in listed} == account.nobodys

    after = _state(takeover)
    again = await takeover.json("import", "--yes", "--map", str(file))
    counts = {name: again["run"][name] for name in ("repaired", "unknown_here", "failed")}
    assert (again["linked"], counts) == (0, {"repaired": 0, "unknown_here": 0, "failed": 0})
    assert (again["report"], _state(takeover)) == (report, after)


async def test_what_is_nobodys_is_claimed_after_the_import(takeover: Takeover) -> None:
    """By its customer: all of it, in both projects, at once; a later import leaves it there."""
    account = await populate(takeover, len(KINDS))
    await takeover.json("import", "--yes")
    (customer,) = {one["customer_id"] for one in await takeover.json("unassigned") if one["id"] in account.nobodys}
    refused = await takeover.run("claim", customer, "ann")
    assert (refused.exit_code, "maps, shop" in refused.stderr) == (1, True), refused.output
    done = await takeover.json("claim", customer, "ann", "--project", "shop")
    assert set(done["assigned"]) == account.nobodys
    assert {key: held for key, held in _held(takeover).items() if key[1] == "ann"} == {
        ("shop", "ann"): {"pro"},
        ("maps", "ann"): {"tiles"},
    }
    again = await takeover.json("import", "--yes")
    assert (again["run"]["repaired"], again["run"]["unknown_here"]) == (0, 0)
    assert ("shop", "ann") in _held(takeover)


async def test_an_import_that_was_cut_off_goes_on(takeover: Takeover) -> None:
    """The run that Stripe's outage left open is the one that the next call finishes."""
    account = await populate(takeover, len(KINDS))
    with psycopg.connect(takeover.database_url) as connection:
        connection.execute("""
            INSERT INTO reconcile_runs (kind, cause, stage) VALUES ('import', 'operator:before', 'sessions')
        """)
    cut = await takeover.json("import", "--yes")
    assert cut["run"]["cause"] == "operator:before"
    whole = await takeover.json("import", "--yes")
    assert whole["run"]["run_id"] != cut["run"]["run_id"]
    named = {key: held for key, held in _expected(account).items() if key[1] in {"user_1", "user_2"}}
    assert {key: held for key, held in _held(takeover).items() if key in named} == named


LINKING = (
    "INSERT INTO stripe_objects (id) VALUES (%s)",
    "SELECT count(*) > 3 FROM audit_log WHERE action = 'customer.import'",
)
WALKING = ("LOCK TABLE purchases IN SHARE MODE", "SELECT count(*) > 0 FROM reconcile_runs WHERE stage = 'sessions'")
"""What holds the import up, and how it is seen that it came so far."""


@pytest.mark.parametrize(("hold", "reached"), [LINKING, WALKING], ids=["while it links", "while it walks"])
async def test_an_import_that_was_killed_goes_on(takeover: Takeover, tmp_path: Path, hold: str, reached: str) -> None:
    """After SIGKILL the next call does the rest: everybody holds what he should, each link is told of once."""
    account = await populate(takeover, 3 * len(KINDS))
    file = tmp_path / "customers.csv"
    file.write_text(account.map, encoding="utf-8")
    words = ("import", "--yes", "--map", str(file))
    linked_last = account.rows[-1].split(",")[0]
    with psycopg.connect(takeover.database_url) as holding:
        holding.execute(hold, (linked_last,) if "%s" in hold else None)
        async with billing(takeover.database_url, takeover.shop.standin.url, *words) as first:
            await eventually(lambda: asyncio.to_thread(lambda: bool(_rows(takeover, reached)[0][0])), 40)
            first.kill()
            await asyncio.to_thread(first.wait)
        holding.rollback()
    assert _held(takeover) != _expected(account)
    with psycopg.connect(takeover.database_url) as connection:
        connection.execute("UPDATE reconcile_runs SET claimed_until = now()")
    done = await takeover.json("import", "--yes", "--map", str(file))
    assert (done["run"]["run_id"], done["run"]["state"], done["run"]["failed"]) == (1, "finished", 0)
    assert _held(takeover) == _expected(account)
    linked = _rows(
        takeover,
        "SELECT subject, after->>'user_id', after->>'project_id' FROM audit_log WHERE action = 'customer.import'",
    )
    rows = [row.split(",") for row in account.rows]
    # Who bought in one project only need not say which.
    assert sorted(linked) == sorted((f"object:{customer}", user, place or "shop") for customer, user, place in rows)


async def test_the_report_tells_people_what_would_grant_nothing(takeover: Takeover) -> None:
    """An archived price in no catalogue, a price without features, a paid invoice that no checkout made."""
    shop = takeover.shop
    await takeover.json("project", "create", "shop")
    old, idle = await shop.price(900), await shop.price(900)
    catalogue = f"version: 1\nprojects: {{shop: {{features: {{pro: {{}}}}, plans: {{{idle.id}: {{features: []}}}}}}}}"
    await takeover.json("catalog", "apply", "-", "--yes", stdin=catalogue)
    await shop.bought(old)
    await shop.bought(idle, client_reference_id="ann")
    await shop.client.v1.prices.update_async(old.id, {"active": False})
    await _invoiced(takeover, idle.product)
    told = await takeover.run("import", "--dry-run")
    assert told.exit_code == 0, told.output
    assert f"archived price {old.id} (Pro) is in no catalogue: 1 subscriptions would grant nothing" in told.stdout
    assert f"price {idle.id} (Pro) of shop grants no feature" in told.stdout
    assert "1 paid invoices with prices of ours came without a checkout" in told.stdout


async def _invoiced(takeover: Takeover, product: str) -> None:
    """Somebody sold something by hand."""
    client = takeover.shop.client.v1
    once = await client.prices.create_async(
        {"product": product, "currency": "usd", "unit_amount": 500, "metadata": {"project_id": "shop"}}
    )
    customer = await client.customers.create_async({})
    await client.invoice_items.create_async({"customer": customer.id, "pricing": {"price": once.id}})
    invoice = await client.invoices.create_async({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    await client.invoices.finalize_invoice_async(invoice.id)
    await client.invoices.pay_async(invoice.id, {"paid_out_of_band": True})


async def test_a_map_is_refused_whole(takeover: Takeover, tmp_path: Path) -> None:
    """Every fault that only Stripe or the database shows, with its line; nothing is written."""
    account = await populate(takeover, len(KINDS))
    rows = {row.split(",")[1]: row.split(",")[0] for row in account.rows}
    named = await takeover.shop.client.v1.customers.create_async({"metadata": {"user_id": "zoe"}})
    file = tmp_path / "customers.csv"
    faulty = [
        "customer_id;user_id;project_id", "cus_none;ann;", f"{rows['user_0']};user_0;none",
        f"{rows['user_8']};user_8;", f"{named.id};ann;shop",
    ]  # fmt: skip
    file.write_text("\r\n".join(faulty), encoding="utf-16")
    refused = await takeover.run("import", "--yes", "--map", str(file))
    assert (refused.exit_code, refused.stdout) == (1, "")
    for words in (
        "line 2: Stripe knows no customer cus_none", "line 3: there is no project none",
        "bought in maps and shop: say in the column project_id", "names the user zoe at Stripe",
    ):  # fmt: skip
        assert words in refused.stderr
    assert _state(takeover) == []
    assert _rows(takeover, "SELECT 1 FROM reconcile_runs") == []
