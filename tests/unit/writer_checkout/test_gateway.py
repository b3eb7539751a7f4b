"""The door to Stripe, against answers that the stand-in does not give."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from common.clock import SECOND, SystemClock
from common.settings import Secret
from tests.support.window_limiter import WindowLimiter
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import API_VERSION, Outcome, Patience, StripeTransport
from writer.settings import StripeSettings

DATE = "Thu, 01 Jan 2026 00:00:10 GMT"
DATE_SECONDS = 1_767_225_610
KEY = "sk_test_very_secret"


@dataclass
class FakeStripe:
    """Answers whatever a test wants, and remembers what it was asked."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    gateway: StripeGateway = field(init=False)
    transport: StripeTransport = field(init=False)
    asked: list[web.Request] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Remember and answer."""
        self.asked.append(request)
        return await self.answer(request)


Start = Callable[..., Awaitable[FakeStripe]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a fake; `answer` is its handler."""
    started: list[tuple[TestServer, StripeTransport]] = []

    async def run(answer: Any, prefix: str = "/", again: float = 5.0) -> FakeStripe:
        fake = FakeStripe(answer)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", fake.handle)
        server = TestServer(app)
        await server.start_server()
        settings = StripeSettings(Secret(KEY), None, (), str(server.make_url(prefix)), 100)
        patience = Patience(connect=1, answer=0.3, tries=3, pause=0.001, again=again)
        fake.transport = StripeTransport(settings, WindowLimiter(1000), SystemClock(), patience)
        fake.gateway = StripeGateway(fake.transport)
        started.append((server, fake.transport))
        return fake

    yield run
    for server, transport in started:
        await transport.close()
        await server.close()


def says(
    body: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that always answers this."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers={"Date": DATE, **(headers or {})})

    return answer


def error(message: str = "no", **more: str) -> dict[str, Any]:
    """Stripe's shape of an error."""
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


async def test_request_pins_its_version_and_joins_the_base_path(start: Start) -> None:
    """A base with a path and a slash at its end works; version and key are sent; the answer is plain data."""
    fake = await start(says({"id": "cus_1", "nested": {"a": [1]}}), prefix="/stripe/")
    fetched = await fake.gateway.retrieve_customer("cus_1")
    assert type(fetched.object) is dict
    assert type(fetched.object["nested"]) is dict
    assert fake.asked[0].path == "/stripe/v1/customers/cus_1"
    assert fake.asked[0].headers["Stripe-Version"] == API_VERSION
    assert fake.asked[0].headers["Authorization"] == f"Bearer {KEY}"


async def test_as_of_is_stripes_date(start: Start) -> None:
    """A fetch is as of the answer's Date, by Stripe's clock; also when the object is missing."""
    fake = await start(says({"id": "cus_1"}))
    assert (await fake.gateway.retrieve_customer("cus_1")).as_of == DATE_SECONDS * SECOND
    fake.answer = says(error(code="resource_missing"), 404)
    fetched = await fake.gateway.retrieve_customer("cus_1")
    assert fetched.object is None
    assert fetched.as_of == DATE_SECONDS * SECOND


async def test_slow_answer_is_as_of_when_it_was_asked(start: Start) -> None:
    """What a request took is taken off its Date."""

    class Slow(SystemClock):
        ticks = iter((0.0, 3.7))

        def monotonic(self) -> float:
            return next(self.ticks)

    fake = await start(says({"id": "cus_1"}))
    fake.transport._clock = Slow()
    assert (await fake.gateway.retrieve_customer("cus_1")).as_of == (DATE_SECONDS - 3) * SECOND


@pytest.mark.parametrize("path", ["../prices/x", "..", ".", "", "a/b", "a?b=c", "a#b", "%2e%2e/x"])
async def test_id_stays_one_segment_of_the_path(start: Start, path: str) -> None:
    """An id out of a request cannot reach another path of the API."""
    fake = await start(says({"id": "x"}))
    await fake.gateway.retrieve_customer(path)
    raw = fake.asked[0].raw_path
    assert raw.startswith("/v1/customers/")
    assert "/" not in raw.removeprefix("/v1/customers/")
    assert not fake.asked[0].query


UNAVAILABLE: tuple[tuple[int, dict[str, str], float | None, int], ...] = (
    (429, {"Retry-After": "7"}, 7.0, 1),
    (429, {}, None, 1),
    (429, {"Retry-After": "soon"}, None, 1),
    (500, {}, None, 3),
    (503, {"Retry-After": "999999"}, 3600.0, 3),
    (503, {"Stripe-Should-Retry": "false"}, None, 1),
    (409, {}, None, 3),
    (401, {}, None, 1),
    (403, {}, None, 1),
)


@pytest.mark.parametrize(("status", "headers", "retry_after", "tries"), UNAVAILABLE)
async def test_passing_faults_are_unavailable(
    start: Start, status: int, headers: dict[str, str], retry_after: float | None, tries: int
) -> None:
    """What may pass is tried again where that helps at once, and else told with the time that Stripe names."""
    fake = await start(says(error(f"Invalid API Key provided: {KEY}"), status, headers))
    with pytest.raises(StripeUnavailableError) as caught:
        await fake.gateway.retrieve_customer("cus_1")
    assert caught.value.retry_after == retry_after
    assert len(fake.asked) == tries
    assert {what for _, what in fake.transport.outcomes} == {Outcome.LIMITED if status == 429 else Outcome.UNAVAILABLE}
    assert "secret" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


async def test_one_pause_follows_from_all_that_was_limited_together(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many requests that meet Stripe's limit at once make no longer pause than one; one sent after the pause does."""
    fake, pauses = await start(says(error(), 429)), list[float]()
    monkeypatch.setattr(fake.transport._limiter, "slow_down", pauses.append)
    asking = [fake.gateway.retrieve_customer("cus_1") for _ in range(6)]
    assert all(isinstance(one, StripeUnavailableError) for one in await asyncio.gather(*asking, return_exceptions=True))
    assert pauses == [1.0] * 6
    fake.transport._slow_until = 0.0  # the pause is over
    with pytest.raises(StripeUnavailableError):
        await fake.gateway.retrieve_customer("cus_1")
    assert pauses[6:] == [2.0]


REFUSED = (
    (400, error(code="resource_missing", param="customer"), "resource_missing", "customer"),
    (400, error(param="email"), "invalid_request", "email"),
    (400, {"error": {"message": "other", "type": "idempotency_error"}}, "idempotency_error", None),
    (402, error(code="card_declined"), "card_declined", None),
    (404, error(), "invalid_request", None),
)


@pytest.mark.parametrize(("status", "body", "code", "param"), REFUSED)
async def test_refusals_are_told_once(
    start: Start, status: int, body: dict[str, Any], code: str, param: str | None
) -> None:
    """What Stripe refuses is not asked again; a path that it does not know is no missing object."""
    fake = await start(says(body, status))
    with pytest.raises(StripeRefusedError) as caught:
        await fake.gateway.retrieve_customer("cus_1")
    assert (caught.value.code, caught.value.param) == (code, param)
    assert len(fake.asked) == 1


async def test_foreign_server_is_unavailable(start: Start) -> None:
    """A page that is not Stripe's does not make objects look deleted, and is not repeated in the error."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(status=404, text="<h1>nothing here</h1>", content_type="text/html")

    fake = await start(page)
    with pytest.raises(StripeUnavailableError, match="STRIPE_API_BASE") as caught:
        await fake.gateway.retrieve_customer("cus_1")
    assert "nothing here" not in str(caught.value)


async def test_answer_that_breaks_off_is_tried_again(start: Start) -> None:
    """A body that ends too early is a fault like any other of the network."""
    answers = 0

    async def broken(request: web.Request) -> web.StreamResponse:
        nonlocal answers
        answers += 1
        if answers > 1:
            return await says({"id": "cus_1"})(request)
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"id":')
        assert request.transport is not None
        request.transport.close()
        return response

    fake = await start(broken)
    assert (await fake.gateway.retrieve_customer("cus_1")).object == {"id": "cus_1"}


async def test_silence_ends_as_unavailable(start: Start) -> None:
    """Where nothing is answered, the wait ends by itself."""

    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(3)
        return web.Response()

    fake = await start(never)
    with pytest.raises(StripeUnavailableError, match="no answer"):
        await fake.gateway.retrieve_customer("cus_1")
    assert len(fake.asked) == 3


async def test_retried_write_keeps_its_idempotency_key(start: Start) -> None:
    """All tries of one write carry one key, also where the caller names none."""
    fake = await start(says(error(), 500))
    with pytest.raises(StripeUnavailableError):
        await fake.gateway.create_customer({}, "key-1")
    with pytest.raises(StripeUnavailableError):
        await fake.gateway.update_customer("cus_1", {"email": "a@b.c"})
    sent = [request.headers["Idempotency-Key"] for request in fake.asked]
    assert sent[:3] == ["key-1"] * 3
    assert len(set(sent[3:])) == 1
    assert sent[3] != "key-1"


async def test_lists_inside_objects_are_filled(start: Start) -> None:
    """A session's lines and a subscription's items are whole, however many pages they take."""

    async def paged(request: web.Request) -> web.Response:
        lines = [{"id": f"i_{n}"} for n in range(25)]
        first = {"object": "list", "data": lines[:10], "has_more": True}
        if request.path == "/v1/checkout/sessions/cs_1":
            subscription = {"id": "sub_1", "items": dict(first)}
            return web.json_response({"id": "cs_1", "line_items": first, "subscription": subscription})
        if request.path == "/v1/subscriptions/sub_1":
            return web.json_response({"id": "sub_1", "items": first})
        assert request.path in {"/v1/checkout/sessions/cs_1/line_items", "/v1/subscription_items"}
        behind = int(request.query["starting_after"].removeprefix("i_")) + 1
        page = lines[behind : behind + 10]
        return web.json_response({"object": "list", "data": page, "has_more": behind + 10 < len(lines)})

    fake = await start(paged)
    expected = [f"i_{n}" for n in range(25)]
    session = (await fake.gateway.retrieve_session_with_lines("cs_1")).object
    subscription = (await fake.gateway.retrieve_subscription("sub_1")).object
    assert session is not None
    assert subscription is not None
    for part in (session["line_items"], session["subscription"]["items"], subscription["items"]):
        assert [line["id"] for line in part["data"]] == expected
        assert part["has_more"] is False


async def test_iterators_walk_all_pages(start: Start) -> None:
    """Every price is told once, page by page."""

    async def paged(request: web.Request) -> web.Response:
        start = int(request.query.get("starting_after", "p_-1").removeprefix("p_")) + 1
        page = [{"id": f"p_{n}"} for n in range(start, min(start + 2, 5))]
        return web.json_response({"object": "list", "data": page, "has_more": start + 2 < 5})

    fake = await start(paged)
    told = [fetched async for fetched in fake.gateway.prices()]
    assert [fetched.object for fetched in told] == [{"id": f"p_{n}"} for n in range(5)]


async def test_a_stripe_that_hangs_is_not_tried_for_long(start: Start) -> None:
    """After a try that used up the patience there is no other: the payer hears of it while still there."""

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        raise AssertionError("the client is long gone")

    fake = await start(hang, again=0.1)
    with pytest.raises(StripeUnavailableError):
        await fake.gateway.retrieve_price("price_1")
    assert len(fake.asked) == 1
