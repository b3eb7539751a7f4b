"""Forward auth, asked as proxies ask; nginx and Envoy themselves stand in `tests/protocols`."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from common.catalogue import Kind
from common.clock import SECOND, Instant, format_time
from tests.support.history import FEATURES, History, feature, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar, in_step, until

FAR = Instant(4_000_000_000 * SECOND)
Answer = tuple[int, Mapping[str, str], Any]


async def ask(running: Running, path: str, user: str | None = "ann", method: str = "GET", **options: Any) -> Answer:
    """Status, `X-Entitlement-*` headers without that prefix, and body of a question."""
    headers = {} if user is None else {"X-User-Id": user}
    url = f"http://{running.sidecar.address}/authz/{path}"
    async with running.session.request(method, url, headers=headers, **options) as response:
        prefix = "X-Entitlement-"
        told = {name.removeprefix(prefix): value for name, value in response.headers.items() if name.startswith(prefix)}
        body = await response.read()
        return response.status, told, orjson.loads(body) if body else None


async def raw(running: Running, target: bytes, *headers: bytes) -> bytes:
    """The answer to a target that a well-behaved client would not send."""
    host, _, port = running.sidecar.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\r\n".join((b"GET %b HTTP/1.1" % target, b"Host: x", b"Connection: close", *headers, b"", b"")))
    answer = await reader.read()
    writer.close()
    return answer


async def test_who_may_passes(running: Running, publisher: Publisher, history: History) -> None:
    """200, and all that an app may want to know without asking again."""
    history.change("ann", grant("seats", 5, valid_to=FAR))
    await publisher.relay()
    await in_step(running, history)
    await publisher.heartbeat()
    status, told, body = await ask(running, "seats")
    stale = told.pop("Stale")  # type: ignore[attr-defined]
    assert (status, stale in {"true", "false"}) == (200, True)
    assert told == {
        "Allowed": "true",
        "Reason": "granted",
        "Feature": "seats",
        "Project": "shop",
        "Value": "5",
        "Source": "subscription",
        "Valid-To": format_time(FAR),
        "Revision": history.position.token,
        "Unlocked-By": "",
    }
    check = await running.check("ann", "seats")
    assert {**body, "age_ms": 0, "stale": False} == {**check, "age_ms": 0, "stale": False}


async def test_who_may_not_is_told_what_would_help(running: Running) -> None:
    """403 with the reason and the prices, in headers and body; so is a feature that does not exist."""
    status, told, body = await ask(running, "seats")
    assert (status, told["Allowed"], told["Reason"], told["Unlocked-By"]) == (
        403,
        "false",
        "not_granted",
        "price_seats",
    )
    assert body["unlocked_by"] == ["price_seats"]
    status, told, _ = await ask(running, "typo")
    assert (status, told["Reason"]) == (403, "unknown_feature")


@pytest.mark.parametrize("user", [None, "", "u" * 256])
async def test_nobody_is_asked_to_log_in(running: Running, user: str | None) -> None:
    """401 without a user, and for what can be none."""
    status, told, problem = await ask(running, "pro", user)
    assert (status, told) == (401, {})
    assert problem["code"] == ("invalid_user" if user else "user_required")


async def test_a_user_named_twice_is_nobody(running: Running) -> None:
    """A proxy that adds its header beside its client's lets the client choose: refused."""
    answer = await raw(running, b"/authz/pro", b"X-User-Id: eve", b"x-user-id: ann")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"invalid_user"' in answer


async def test_bytes_that_are_no_text_are_nobody(running: Running) -> None:
    """A header may hold any bytes."""
    assert (await raw(running, b"/authz/pro", b"X-User-Id: a\xffb")).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["pro", "pro/", "pro/deep/er?x=y&user_id=eve&feature=free&project_id=other"])
async def test_method_path_and_query_of_the_client_have_no_say(running: Running, method: str, path: str) -> None:
    """Envoy appends the original path with its query."""
    assert (await ask(running, path, method=method))[0] == 200
    assert (await ask(running, path, user="bob", method=method))[0] == 403


@pytest.mark.parametrize(
    "target",
    [
        b"/authz/pro/../free",
        b"/authz/pro/%2e%2e/free",
        b"/authz/pro//free",
        b"/authz/pro/..%2ffree",
        b"/authz/pro/#/../free",
    ],
)
async def test_a_path_cannot_climb_to_another_feature(running: Running, target: bytes) -> None:
    """`free` is everybody's, `pro` is not Bob's: what is appended never counts."""
    assert b" 403 " in (await raw(running, target, b"X-User-Id: bob"))[:20]


@pytest.mark.parametrize("target", [b"/authz/..%2ffree", b"/authz/pro%2f..%2ffree", b"/authz/pro%0d%0aX-Evil"])
async def test_what_is_no_feature_is_refused(running: Running, target: bytes) -> None:
    """400, and nothing of it comes back as a header."""
    answer = await raw(running, target, b"X-User-Id: bob")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\nX-Evil" not in answer


async def test_the_project_is_named_by_the_proxy(running: Running) -> None:
    """In the query of the bare route, or before the feature; behind an appended path the query is the client's."""
    for path in ("pro?project_id=shop", "shop:pro", "shop:pro/deep?project_id=other"):
        assert (await ask(running, path))[0] == 200
    for path in ("pro?project_id=other", "other:pro", "other:pro/deep?project_id=shop"):
        status, _, problem = await ask(running, path)
        assert (status, problem["code"]) == (404, "unknown_project")


async def test_with_several_projects_one_must_be_named(
    redis_url: str, publisher: Publisher, start_sidecar: StartSidecar
) -> None:
    """400 where neither path nor query names it."""
    running = await start_sidecar(redis_url, SIDECAR_PROJECT="shop,blog", SIDECAR_API_KEY="")
    await until(lambda: running.project.replica.synced)
    assert (await ask(running, "pro"))[2]["code"] == "project_required"
    assert (await ask(running, "shop:pro/x"))[0] == 200


async def test_before_the_first_load_nobody_passes(redis_url: str, start_sidecar: StartSidecar) -> None:
    """503: proxies refuse, or do what they were told to do while their authority is away."""
    running = await start_sidecar(redis_url)
    status, _, problem = await ask(running, "pro")
    assert (status, problem["code"]) == (503, "not_synced")


async def test_another_header_may_name_the_user(
    redis_url: str, publisher: Publisher, start_sidecar: StartSidecar
) -> None:
    """`SIDECAR_USER_HEADER`."""
    running = await start_sidecar(redis_url, SIDECAR_USER_HEADER="X-Auth-Request-User")
    await until(lambda: running.project.replica.synced)
    assert (await ask(running, "pro"))[0] == 401
    assert b" 200 " in (await raw(running, b"/authz/pro", b"x-auth-request-user: ann"))[:20]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("unlimited", '"unlimited"'),
        ("grün\r\nX-Evil: 1", '"gr\\u00fcn\\r\\nX-Evil: 1"'),
        ("a\x7fb", '"a\\u007fb"'),
        ({"colour": "gold", "size": 3}, '{"colour":"gold","size":3}'),
        ("x" * 2_000, ""),
    ],
)
async def test_a_value_cannot_break_out_of_its_header(
    running: Running, publisher: Publisher, history: History, value: Any, told: str
) -> None:
    """JSON in visible ASCII; one that is too long for a header is left to a check."""
    history.edit(*FEATURES, feature("theme", Kind.CONFIG))
    history.change("ann", grant("theme", value))
    await publisher.relay()
    await in_step(running, history)
    status, headers, body = await ask(running, "theme")
    assert (status, headers["Value"], body["value"]) == (200, told, value)
    assert "X-Evil" not in headers


async def test_many_prices_are_told_as_far_as_they_fit(
    running: Running, publisher: Publisher, history: History
) -> None:
    """Whole names only, and none that could end the header; the body has them all."""
    history.edit(*FEATURES)
    names = tuple(f"price_{number:03}\r\n" for number in range(200))
    history.catalogue.unlocked_by[FEATURES[2].code] = names  # type: ignore[index]
    await publisher.relay()
    await in_step(running, history)
    _, told, body = await ask(running, "seats")
    assert body["unlocked_by"] == list(names)
    listed = told["Unlocked-By"].split(",")
    assert listed == [f"price_{number:03}%0D%0A" for number in range(len(listed))]
    assert 900 < len(told["Unlocked-By"]) <= 1024


async def test_a_body_is_let_pass_and_bounded(running: Running) -> None:
    """Proxies may send the original body along: nothing of it is needed; who never ends is not waited for."""
    assert (await ask(running, "pro", method="POST", data=b"x" * 100_000))[0] == 200
    host, _, port = running.sidecar.address.rpartition(":")
    with socket.create_connection((host, int(port))) as endless:
        endless.sendall(b"POST /authz/pro HTTP/1.1\r\nHost: x\r\nX-User-Id: ann\r\nContent-Length: 9999999999\r\n\r\nx")
        endless.settimeout(20)
        received = await asyncio.to_thread(_until_closed, endless)
    assert received.startswith(b"HTTP/1.1 200 ")


def _until_closed(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65_536):
        received += data
    return received


async def test_it_is_counted_like_a_check(running: Running) -> None:
    """One metric for all faces, and one for answers that said that they are stale."""
    await ask(running, "pro")
    assert await running.metric("sidecar_stale_answers_total") == 1
    await ask(running, "pro", user=None)
    _, text = await running.manage("metrics")
    assert 'sidecar_checks_total{outcome="granted"} 1.0' in text
    assert 'sidecar_checks_total{outcome="user_required"} 1.0' in text
