"""Webhook: Stripe's signed events, verified as bytes, parsed, committed to the inbox, and only then acknowledged."""

import hashlib
import hmac
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from common.clock import SECOND, Clock
from common.http import json_response, read_body
from common.problems import Problem, bad_request
from common.settings import Secret
from writer.api.answers import WebhookAnswer
from writer.api.bodies import Body
from writer.api.routes import Access, Answer, Call, route, served
from writer.domain.stripe.event import Event, parse_event
from writer.domain.stripe.fields import ShapeError
from writer.domain.stripe.kinds import KIND_OF_TYPE
from writer.inbox import Inbox, Origin, Stored
from writer.intake import Hand, Intake, Trace
from writer.supervision import DATABASE_FAULTS

_log = logging.getLogger(__name__)

MAX_BODY: Final = 1 << 20
"""Bytes. Stripe's largest events are far below; whoever sends more is not Stripe."""

TOLERANCE: Final = 300
"""Seconds that a signature may lie in the past or, by a wrong clock, in the future: what Stripe's own SDK allows."""

_EVENT: Final[Body[None]] = Body(
    None, limit=MAX_BODY, schema={"type": "object", "description": "An event as Stripe signed it"}, problems=()
)
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Signer:
    """The secrets that Stripe may have signed with, several while one is rotated."""

    secrets: Sequence[Secret]
    clock: Clock

    def verify(self, header: str | None, body: bytes) -> None:
        """Problem 400 unless `header` signs `body` with one of the secrets, not long ago."""
        if not header:
            raise bad_request("missing_signature", "the Stripe-Signature header is missing")
        parts = [part.strip().partition("=")[::2] for part in header.split(",")]
        timestamp = next((value for name, value in parts if name == "t"), "")
        offered = [value.encode() for name, value in parts if name == "v1"]
        if not _TIMESTAMP.fullmatch(timestamp) or not offered:
            raise bad_request("invalid_signature", "the Stripe-Signature header must hold t=… and v1=…")
        signed = b"%b.%b" % (timestamp.encode(), body)
        # Every pair is compared, so that the time taken tells nothing about which secret came near.
        matches = [
            hmac.compare_digest(expected, signature)
            for expected in (_sign(secret, signed) for secret in self.secrets)
            for signature in offered
        ]
        if not any(matches):
            raise bad_request("invalid_signature", "no signature fits this body and a webhook secret of ours")
        if abs(self.clock.now() // SECOND - int(timestamp)) > TOLERANCE:
            raise bad_request("timestamp_too_old", f"the signature's time is more than {TOLERANCE} seconds away")


class Webhook:
    """`POST /api/v1/webhooks/stripe`."""

    def __init__(
        self, signer: Signer, inbox: Inbox, pipeline: Hand, trace: Trace, registry: CollectorRegistry, *, livemode: bool
    ) -> None:
        self._signer = signer
        self._intake = Intake(inbox, pipeline, trace, livemode=livemode)
        self._received = Counter(
            "billing_webhook_events",
            "Stripe events received, by type and outcome",
            ["type", "outcome"],
            registry=registry,
        )
        self._refused = Counter(
            "billing_webhook_refused", "Webhook requests answered with an error, by code", ["code"], registry=registry
        )
        self._lag = Histogram(
            "billing_webhook_lag_seconds",
            "From when an event happened at Stripe, to the second, until it was received",
            registry=registry,
            buckets=(1, 2, 5, 10, 30, 60, 300, 1_800, 7_200, 43_200, 259_200),
        )

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return served(self)

    @route(
        "POST", "/api/v1/webhooks/stripe", Access.SIGNATURE, Answer(HTTPStatus.OK, WebhookAnswer),
        problems=(
            "400 missing_signature", "400 invalid_signature", "400 timestamp_too_old", "400 invalid_json",
            "400 not_an_event",
        ), body=_EVENT, tag="stripe",
    )  # fmt: skip
    async def receive(self, call: Call[None]) -> web.Response:
        """Take a signed event of Stripe's, at most 1 MiB.

        2xx once the event is committed; 4xx what is not Stripe's; 503 what Stripe must send again.
        """
        try:
            body = await read_body(call.request, MAX_BODY)
            self._signer.verify(call.headers.get("Stripe-Signature"), body)
            event = _parse(body)
            stored = await self._store(event, body)
        except Problem as problem:
            self._refused.labels(problem.code).inc()
            raise
        return json_response({"received": True, "event": event.id, "outcome": stored.value})

    async def _store(self, event: Event, body: bytes) -> Stored:
        try:
            stored = await self._intake.take(event, body, Origin.WEBHOOK)
        except DATABASE_FAULTS as error:
            _log.warning("webhook not stored type=%s event_id=%s error=%s", event.type, event.id, type(error).__name__)
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "database_unavailable",
                "the event could not be stored; send it again",
                headers={"Retry-After": "5"},
            ) from error
        self._report(event, stored)
        return stored

    def _report(self, event: Event, stored: Stored) -> None:
        # A type that is not ours is any text: as a label it would grow without bound.
        label = event.type if event.type in KIND_OF_TYPE else "other"
        self._received.labels(label, stored.value).inc()
        self._lag.observe(max(0.0, (self._signer.clock.now() - event.created) / SECOND))
        ignored = self._intake.ignored(event)
        words = "webhook %s type=%s event_id=%s object=%s"
        facts = (stored.value, event.type, event.id, event.object_id)
        if ignored is None:
            _log.info(words, *facts)
        else:
            _log.info(f"{words} reason=%r", *facts, ignored.value)


def _parse(body: bytes) -> Event:
    try:
        return parse_event(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        _log_unreadable(body, "not JSON")
        raise bad_request("invalid_json", "the signed body is not JSON") from error
    except ShapeError as error:
        _log_unreadable(body, str(error))
        raise bad_request("not_an_event", f"the signed body is not a Stripe event: {error}") from error


def _log_unreadable(body: bytes, reason: str) -> None:
    # It was signed with our secret, so it must leave a trace that an operator can match with Stripe's own log.
    digest = hashlib.sha256(body).hexdigest()
    _log.error("webhook unreadable though signed bytes=%d sha256=%s reason=%r", len(body), digest, reason)


def _sign(secret: Secret, signed: bytes) -> bytes:
    return hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest().encode()
