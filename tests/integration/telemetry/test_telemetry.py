"""A payment is followed through two processes, by its log lines and by its spans; and nothing secret is in either."""

import asyncio
import json

import psycopg
import pytest
from click.testing import CliRunner

from sandbox.clients import CallError
from tests.support.observed import Observed, Told
from tests.support.waiting import eventually, until
from writer.cli import main

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ONE_PROJECT = "/api/v1/admin/projects/{project}"
HOOK = "POST /api/v1/webhooks/stripe"


async def test_one_payment_can_be_followed_by_its_lines(pair: Observed) -> None:
    """From the webhook to the sidecar, each step logs the same event, request and trace, as facts of an object."""
    await pair.paid("ada")
    (applied,) = pair.lines("sidecar", "change applied")
    ids = {name: applied[name] for name in ("event_id", "request_id", "trace_id")}
    assert ids["event_id"].startswith("evt_")
    # The sidecar may have it before the writer hears that Redis took it.
    await until(lambda: any(ids.items() <= line.items() for line in pair.lines("writer", "change published")))
    steps = [line for line in pair.lines("writer") if ids.items() <= line.items()]
    assert [line["message"] for line in steps] == ["webhook stored", "event applied", "change published"]
    assert steps[1]["revisions"] == 1
    assert steps[2]["position"] == applied["position"]


async def test_one_payment_is_one_trace(pair: Observed) -> None:
    """Webhook, inbox, transaction, publishing and the sidecar's applying are spans of one trace, each under another."""
    await pair.paid("bob")
    (applied,) = pair.lines("sidecar", "change applied")[-1:]
    trace = applied["trace_id"]

    def spans() -> dict[str, Told]:
        return {one.id: one for one in pair.collector.spans if one.trace == trace}

    await until(lambda: "change apply" in {one.name for one in spans().values()} and is_whole(spans()))
    found = spans()
    path, span = [], next(one for one in found.values() if one.name == "change apply")
    while True:
        path.append((span.service, span.name))
        if not span.parent:
            break
        span = found[span.parent]
    assert path == [
        ("billing-sidecar", "change apply"),
        ("billing-writer", "change publish"),
        ("billing-writer", "apply transaction"),
        ("billing-writer", "event"),
        ("billing-writer", "inbox store"),
        ("billing-writer", HOOK),
    ]
    assert span.attributes["http.response.status_code"] == 200
    # What was asked of Stripe to open the checkout belongs to the app's own request.
    asked = [one for one in pair.collector.spans if one.name == "Stripe POST /v1/checkout/sessions"]
    parents = {one.id: one.name for one in pair.collector.spans}
    assert {parents[one.parent] for one in asked} == {"POST /api/v1/checkout/create"}


def is_whole(spans: dict[str, Told]) -> bool:
    """Whether every span's parent has come too."""
    return all(not one.parent or one.parent in spans for one in spans.values())


@pytest.mark.parametrize(
    ("sent", "given"),
    [
        ({"X-Request-ID": "app-7:42"}, "app-7:42"),
        ({"traceparent": TRACEPARENT}, "0af7651916cd43dd8448eb211c80319c"),
        ({"X-Request-ID": "two words", "traceparent": TRACEPARENT}, "0af7651916cd43dd8448eb211c80319c"),
        ({"X-Request-ID": "x" * 65}, None),
        ({"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"}, None),
    ],
)
async def test_every_answer_has_an_id(pair: Observed, sent: dict[str, str], given: str | None) -> None:
    """The caller's own where it is sane, else its trace's, else a new one; also on an error and without a route."""
    for path in ("/live", "/api/v1/check", "/nowhere"):
        async with pair.session.get(f"{pair.url}{path}", headers=sent) as answer:
            shown = answer.headers["X-Request-ID"]
            assert shown == given if given else len(shown) == 32


async def test_the_writers_level_changes_while_it_runs(pair: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the route or the command, for a logger, until taken back or over; each act stands in the audit log."""
    path, one = "/api/v1/admin/log-level", {"logger": "stripe", "level": "info"}
    shown = await pair.admin.call("PUT", path, body={**one, "for_seconds": 600})
    assert shown["log_level"] == "info"
    assert [(row["logger"], row["level"]) for row in shown["asked"]] == [("stripe", "info")]

    assert not any(line["logger"] == "stripe" for line in pair.lines("writer"))
    await until(lambda: "log levels changed" in {line["message"] for line in pair.lines("writer")})
    await pair.paid("max")
    assert any(line["logger"] == "stripe" for line in pair.lines("writer"))
    monkeypatch.setenv("DATABASE_URL", pair.database_url)
    command = ("log-level", "default", "--logger", "stripe", "--json")
    done = await asyncio.to_thread(CliRunner().invoke, main, command)
    assert json.loads(done.stdout) == {"asked": []}
    await until(lambda: pair.lines("writer", "log levels changed")[-1]["asked"] == "none")
    with psycopg.connect(pair.database_url) as connection:
        acts = connection.execute(
            "SELECT split_part(actor, ':', 1), subject, before, after FROM audit_log WHERE action = 'log_level.set'"
            " ORDER BY id"
        ).fetchall()
    assert acts == [
        ("admin-key", "logger:stripe", None, {"level": "INFO", "for_seconds": 600}),
        ("cli", "logger:stripe", {"level": "INFO"}, None),
    ]
    for body, code in (
        ({"level": "loud"}, "invalid_log_level"),
        ({"level": "info", "logger": "a b"}, "invalid_logger"),
        ({"level": "info", "for_seconds": 0}, "invalid_body"),
        ({}, "invalid_body"),
    ):
        with pytest.raises(CallError) as refused:
            await pair.admin.call("PUT", path, body=body)
        assert refused.value.body["code"] == code


async def test_the_sidecars_level_changes_while_it_runs(pair: Observed) -> None:
    """From its own machine only; after its time it is as before."""
    shown = await pair.sidecar.call("PUT", "/log-level", body={"level": "DEBUG", "logger": "asyncio"})
    assert shown == {"log_level": "info", "asked": [{"logger": "asyncio", "level": "debug", "until": None}]}
    await pair.sidecar.call("PUT", "/log-level", body={"level": "debug", "logger": "sidecar", "for_seconds": 1})
    await pair.sidecar.call("PUT", "/log-level", body={"level": None, "logger": "asyncio"})
    assert len((await pair.sidecar.call("GET", "/log-level"))["asked"]) == 1

    async def over() -> bool:
        return not (await pair.sidecar.call("GET", "/log-level"))["asked"]

    await eventually(over)
    assert [line["asked"] for line in pair.lines("sidecar", "log levels changed")][-1] == "none"
    for body in ({"level": "loud"}, {"level": "info", "more": 1}, {"level": "info", "for_seconds": True}):
        with pytest.raises(CallError) as refused:
            await pair.sidecar.call("PUT", "/log-level", body=body)
        assert refused.value.status == 400


async def test_metrics_are_bounded_and_tell_what_happened(pair: Observed) -> None:
    """Routes are named as declared; keys, Stripe, the pool, caches and projects are counted."""
    await pair.paid("eve")
    for number in range(3):
        assert await pair.status("GET", f"/nowhere/{number}", None) == 404
    assert await pair.status("GET", "/api/v1/admin/projects", "bk_" + "0" * 64) == 403
    assert await pair.status("GET", "/api/v1/check?user_id=u&feature=f", None) == 401
    assert await pair.status("GET", "/api/v1/admin/projects/notes", pair.keyring.admin) == 200

    async def counted() -> bool:
        text: str = await pair.admin.call("GET", "/metrics")
        names = ('billing_active_subscriptions{project="notes"}', "billing_redis_keyspace_hits_total ")
        return all(name in text for name in names)

    await eventually(counted)
    text: str = await pair.admin.call("GET", "/metrics")
    lines = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    assert lines['billing_http_requests_total{method="GET",route="unmatched",status="404"}'] >= 3
    assert lines[f'billing_http_requests_total{{method="GET",route="{ONE_PROJECT}",status="200"}}'] >= 1
    assert lines['billing_authentication_failures_total{code="admin_key_required"}'] >= 1
    assert lines['billing_authentication_failures_total{code="missing_key"}'] >= 1
    assert lines['billing_stripe_requests_total{operation="POST /v1/checkout/sessions",outcome="answered"}'] >= 1
    assert lines['billing_key_requests_total{app="notes",project="notes"}'] >= 1
    assert lines['billing_cache_lookups_total{cache="keys",outcome="miss"}'] >= 1
    assert lines['billing_cache_lookups_total{cache="catalogues",outcome="hit"}'] >= 1
    assert lines['billing_database_pool_size{pool="primary"}'] == 10
    assert lines["billing_webhook_lag_seconds_count"] >= 1
    assert lines['billing_project_revision{project="notes"}'] >= 1
    assert "nowhere" not in text


async def test_no_secret_is_logged_traced_or_counted(pair: Observed) -> None:
    """Whatever goes right or wrong: no key, secret or password is in a line, a span, a figure or a problem."""
    projects = "/api/v1/admin/projects/notes/keys"
    made = [await pair.admin.call("POST", projects, body={"app": app}) for app in ("revoked", "rotated")]
    ids = [one["id"] for one in made]
    await pair.admin.call("POST", f"{projects}/{ids[0]}/revoke", body={"reason": "test"})
    successor = await pair.admin.call("POST", f"{projects}/{ids[1]}/rotate", body={"overlap_seconds": 0})
    guesses = ["bk_" + "ab" * 32, "wrong-admin-key-4711", "sk_test_guessed", "whsec_guessed"]
    keys = [*(one["key"] for one in made), successor["key"], *guesses]
    said = []
    for key in keys:
        for path in ("/api/v1/check?user_id=u&feature=f", "/api/v1/admin/projects", "/api/v1/snapshot", "/nowhere"):
            async with pair.session.get(f"{pair.url}{path}", headers={"Authorization": f"Bearer {key}"}) as answer:
                said.append(await answer.text())
    for header in ("", "t=1,v1=guessed-signature-1", f"t=1,v1={pair.keyring.webhook}"):
        body = {"Stripe-Signature": header}
        async with pair.session.post(f"{pair.url}/api/v1/webhooks/stripe", data=b"{}", headers=body) as answer:
            said.append(await answer.text())
    await pair.paid("liz")
    told = "\n".join(path.read_text(encoding="utf-8") for path in pair.logs.glob("*.log"))
    figures = await pair.admin.call("GET", "/metrics") + await pair.sidecar.call("GET", "/metrics")
    assert "change applied" in told
    for secret in {*pair.secrets, *keys, "guessed-signature-1"}:
        for where in (told, figures, repr(pair.collector.spans), "\n".join(said)):
            assert secret not in where
