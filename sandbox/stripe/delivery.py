"""Webhooks on their way: signed as Stripe signs, sent at once, tried again until they are acknowledged or given up."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections import deque
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import orjson

from sandbox.stripe.events import shown
from sandbox.stripe.faults import Fault, Faults, Rule
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.webhook_endpoints import wants

LOG: Final = logging.getLogger(__name__)
WAITS: Final = (5, 300, 1800, 7200, 18000, 36000, *(43200,) * 5)
"""Seconds between attempts as Stripe waits, about three days in all; `retry_scale` shortens them."""
AT_ONCE: Final = 64
TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
ACKNOWLEDGED: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Job:
    """One event for one endpoint."""

    event: str
    endpoint: str
    bad_signature: bool = False

    @property
    def key(self) -> str:
        """Its name among what is still to be delivered."""
        return f"{self.event}:{self.endpoint}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one try; `status` is None when no answer came."""

    event: str
    type: str
    endpoint: str
    status: int | None


def signature(payload: bytes, secrets: Iterable[str], timestamp: int, *, spoiled: bool = False) -> str:
    """The `Stripe-Signature` header; one `v1` for each secret, as while a secret is rolled."""
    signed = str(timestamp).encode() + b"." + payload
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={'0' * 64 if spoiled else digest}" for digest in digests)])


class Deliveries:
    """All webhooks under way. `retry_scale` multiplies Stripe's waits between attempts."""

    def __init__(self, ledger: Ledger, faults: Faults, *, retry_scale: float = 1 / 300) -> None:
        self.retry_scale = retry_scale
        self.held: list[Job] = []
        self.attempts: deque[Attempt] = deque(maxlen=20_000)
        self._ledger = ledger
        self._faults = faults
        self._window: list[Job] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the client and go on with what an earlier run had not delivered."""
        self._client = aiohttp.ClientSession(timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=AT_ONCE))
        for waiting in list(self._pending().values()):
            self._begin(Job(waiting["event"], waiting["endpoint"]))

    async def stop(self) -> None:
        """Leave everything where it is; undelivered webhooks stay pending."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def idle(self) -> None:
        """Wait until nothing is under way; what is held or dropped does not count."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def accept(self, event: JsonObject) -> None:
        """Send a new event to every endpoint that wants it."""
        for endpoint in self._ledger.store.all("webhook_endpoint"):
            if wants(endpoint, event["type"]):
                event["pending_webhooks"] += 1
                job = Job(event["id"], endpoint["id"])
                self._pending()[job.key] = {"event": job.event, "endpoint": job.endpoint, "attempts": 0}
                self._dispatch(job, event["type"])

    def resend(self, event_id: str, endpoint_id: str | None = None) -> None:
        """Send an event again now, past all faults."""
        endpoints = [one["id"] for one in self._ledger.store.all("webhook_endpoint")]
        for name in [endpoint_id] if endpoint_id in endpoints else endpoints:
            self._spawn(self._send_once(Job(event_id, name or "")))

    async def release(self, order: list[str] | None = None, *, keep_holding: bool = False) -> int:
        """Deliver what is held, one after the other: all, or the named events in that order.

        A name may come twice: it is then delivered twice. Answers how many deliveries were made.
        """
        self._faults.holding = keep_holding
        held, self.held = self.held, []
        names = [job.event for job in held] if order is None else order
        jobs = [job for name in dict.fromkeys(names) for job in held if job.event == name]
        if order is not None:
            jobs = [job for name in names for job in held if job.event == name]
        self.held = [job for job in held if job not in jobs] + self.held
        for job in jobs:
            if not await self._send_once(job):
                self._begin(job, after=1)
        return len(jobs)

    def _pending(self) -> dict[str, JsonObject]:
        return self._ledger.store.note("deliveries")

    def _dispatch(self, job: Job, event_type: str) -> None:
        met = {rule.fault: rule for rule in self._faults.met_by(event_type)}
        if Fault.DROP in met:
            del self._pending()[job.key]
        elif self._faults.holding:
            self.held.append(job)
        elif Fault.REORDER in met:
            self._reorder(job, met[Fault.REORDER])
        else:
            delay = met[Fault.DELAY].seconds if Fault.DELAY in met else 0.0
            spoiled = Fault.BAD_SIGNATURE in met
            self._begin(Job(job.event, job.endpoint, bad_signature=spoiled), delay=delay)
            for _ in range(met[Fault.DUPLICATE].copies if Fault.DUPLICATE in met else 0):
                self._spawn(self._send_once(job))

    def _reorder(self, job: Job, rule: Rule) -> None:
        if not self._window:
            asyncio.get_running_loop().call_later(rule.seconds, self._flush)
        self._window.append(job)
        if len(self._window) >= rule.window:
            self._flush()

    def _flush(self) -> None:
        jobs, self._window = self._faults.shuffle(self._window), []
        if jobs:
            self._spawn(self._send_in_order(jobs))

    async def _send_in_order(self, jobs: list[Job]) -> None:
        for job in jobs:
            if not await self._send_once(job):
                self._begin(job, after=1)

    def _begin(self, job: Job, *, delay: float = 0.0, after: int = 0) -> None:
        self._spawn(self._send_until_acknowledged(job, delay, after))

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except Exception:
            LOG.exception("a webhook could not be sent")

    async def _send_until_acknowledged(self, job: Job, delay: float, after: int) -> None:
        await asyncio.sleep(delay)
        if after == 0 and await self._send_once(job):
            return
        for wait in WAITS:
            await asyncio.sleep(wait * self.retry_scale)
            if await self._send_once(Job(job.event, job.endpoint)):
                return
        self._pending().pop(job.key, None)
        LOG.warning("gave up webhook %s", job.event)

    async def _send_once(self, job: Job) -> bool:
        store = self._ledger.store
        event, endpoint = store.find("event", job.event), store.find("webhook_endpoint", job.endpoint)
        if event is None or endpoint is None or self._client is None:
            self._pending().pop(job.key, None)
            return True
        payload = self._payload(event, endpoint)
        secrets = store.note("secrets")[endpoint["id"]]
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            # The receiver compares with its own clock, not with a moved one.
            "Stripe-Signature": signature(payload, secrets, int(time.time()), spoiled=job.bad_signature),
        }
        status = await self._post(endpoint["url"], payload, headers)
        self.attempts.append(Attempt(event["id"], event["type"], endpoint["id"], status))
        if status not in ACKNOWLEDGED:
            return False
        if self._pending().pop(job.key, None) is not None:
            event["pending_webhooks"] -= 1
        store.changes += 1
        return True

    async def _post(self, url: str, payload: bytes, headers: dict[str, str]) -> int | None:
        if self._client is None:
            return None
        try:
            async with (
                self._gate,
                self._client.post(url, data=payload, headers=headers, allow_redirects=False) as answer,
            ):
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            LOG.info("webhook to %s failed: %s", url, type(error).__name__)
            return None

    def _payload(self, event: JsonObject, endpoint: JsonObject) -> bytes:
        if self._ledger.store.note("thin_endpoints").get(endpoint["id"]):
            # Another event than the whole one that the list holds: whoever gets both cannot tell by the id.
            own = {"id": "evt_test_" + event["id"].removeprefix("evt_")}
            return orjson.dumps(thin(event) | own, option=orjson.OPT_INDENT_2)
        body = shown(self._ledger, event, endpoint["api_version"])
        return orjson.dumps(body, option=orjson.OPT_INDENT_2)


PATHS: Final = {
    "checkout.session": "checkout/sessions",
    "billing_portal.session": "billing_portal/sessions",
    "billing_portal.configuration": "billing_portal/configurations",
    "test_helpers.test_clock": "test_helpers/test_clocks",
}


def thin(event: JsonObject) -> JsonObject:
    """The event as a notification that only names its object."""
    item = event["data"]["object"]
    path = PATHS.get(item["object"], item["object"] + "s")
    created = datetime.fromtimestamp(event["created"], UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "id": event["id"],
        "object": "v2.core.event",
        "type": f"v1.{event['type']}",
        "created": created,
        "livemode": event["livemode"],
        "context": None,
        "reason": None,
        "related_object": {"id": item["id"], "type": item["object"], "url": f"/v1/{path}/{item['id']}"},
    }
