"""Idempotency keys: the same admin write, sent again with the same key within a day, is done once and answered alike.

A key is claimed before the act, and the act's own transaction marks it (`writer.operations.audit`). So a writer that
dies in between leaves one of two things: an unmarked claim, which nothing came of and the next request takes over, or
a marked one, whose act is done and whose answer is lost; the caller is told so, and nothing is done twice. An act that
knows the key itself is simply tried again.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import orjson
from aiohttp import web
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.problems import Problem, bad_request
from writer.operations import audit
from writer.supervision import DATABASE_FAULTS

_log = logging.getLogger(__name__)

KEPT: Final = timedelta(hours=24)
"""How long a key is remembered."""
HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
"""Is `true` on an answer that was given before."""

_MAX_KEY: Final = 255
_CLAIM: Final = timedelta(minutes=2)
"""Longer than any act takes; a writer that died holds a key for as long."""
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between looks at a request that is being worked on: what takes longer is answered 409."""
_KEPT_HEADERS: Final = ("Location",)

PROBLEMS: Final = (
    "400 invalid_idempotency_key",
    "409 idempotency_key_in_use",
    "409 outcome_unknown",
    "422 idempotency_key_reused",
)
"""What a key can be answered with."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `fingerprint`: SHA-256 of method, path, query and body. `again`: as of `Route.again`."""

    key: str | None
    fingerprint: bytes
    again: bool

    @classmethod
    def of(cls, request: web.Request, body: bytes, *, again: bool) -> "Request":
        """Problem 400 `invalid_idempotency_key`."""
        key = request.headers.get(HEADER)
        if key is not None and not (1 <= len(key) <= _MAX_KEY and key.isascii() and key.isprintable()):
            detail = f"{HEADER} must have 1 to {_MAX_KEY} printable ASCII characters, such as a UUID"
            raise bad_request("invalid_idempotency_key", detail)
        asked = f"{request.method} {request.raw_path}\n{request.content_type}\n".encode()
        return cls(key, hashlib.sha256(asked + body).digest(), again)


class _InUseError(Exception):
    """The same request is being worked on."""


class Replies:
    """Remembers what requests with a key were answered, for all writers."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def once(
        self, request: Request, act: Callable[[], Awaitable[web.StreamResponse]], secret: Sequence[str] = ()
    ) -> web.StreamResponse:
        """What `act` answers, or what it answered before. Refusals change nothing, so they are judged anew.

        `secret`: members of the answer that are never kept; a repeated request is told that it had them.

        Problems: 409 `idempotency_key_in_use`, `outcome_unknown`, `shown_once`; 422 `idempotency_key_reused`.
        """
        if request.key is None:
            return await act()
        claim = uuid4().hex
        kept = await self._claimed(request, claim)
        if kept is not None:
            return _replay(kept, secret)
        marked = audit.request_key.set(request.key)
        try:
            answer = await act()
        except BaseException:
            await self._release(request.key, claim)
            raise
        finally:
            audit.request_key.reset(marked)
        if answer.status < HTTPStatus.BAD_REQUEST and isinstance(answer, web.Response):
            await self._keep(request.key, claim, answer, secret)
        else:
            await self._release(request.key, claim)
        return answer

    async def _claimed(self, request: Request, claim: str) -> Row[Any] | None:
        """None: the key is this request's now; else what was answered. A Problem where it stays neither."""
        for pause in (*_PAUSES, None):
            try:
                return await self._looked_up(request, claim, take=request.again and pause is None)
            except _InUseError:
                if pause is None:
                    raise _in_use() from None
                await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _looked_up(self, request: Request, claim: str, *, take: bool) -> Row[Any] | None:
        parameters = {
            "key": request.key, "fingerprint": request.fingerprint, "take": take, "claim": claim,
            "kept": KEPT, "lasts": _CLAIM,
        }  # fmt: skip
        async with self._engine.connect() as connection:
            await connection.execute(_FORGET, {"kept": KEPT})
            if (await connection.execute(_CLAIM_KEY, parameters)).one_or_none() is not None:
                return None
            row = (await connection.execute(_READ, {"key": request.key})).one_or_none()
        if row is None:
            raise _InUseError
        if row.fingerprint != request.fingerprint:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                f"this {HEADER} came with another request before; use a new key for a new request",
            )
        if row.status is not None:
            return row
        if row.acted_at is not None and not row.is_claimed and not request.again:
            detail = (
                f"a request with this {HEADER} was carried out at {row.acted_at:%Y-%m-%dT%H:%M:%SZ}, at least in part, "
                "and its answer was lost: the audit log says what was done; use a new key for what is left"
            )
            raise Problem(HTTPStatus.CONFLICT, "outcome_unknown", detail)
        raise _InUseError

    async def _keep(self, key: str, claim: str, answer: web.Response, secret: Sequence[str]) -> None:
        body = bytes(answer.body) if isinstance(answer.body, bytes | bytearray) else b""
        if secret:
            shown = orjson.loads(body)
            body = orjson.dumps({name: value for name, value in shown.items() if name not in secret})
        headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        parameters = {
            "key": key, "claim": claim, "status": answer.status, "media": answer.content_type,
            "headers": orjson.dumps(headers).decode(), "body": body,
        }  # fmt: skip
        await self._write(_KEEP, parameters)

    async def _release(self, key: str, claim: str) -> None:
        await self._write(_RELEASE, {"key": key, "claim": claim})

    async def _write(self, statement: Any, parameters: dict[str, Any]) -> None:
        try:
            async with self._engine.connect() as connection:
                await connection.execute(statement, parameters)
        except DATABASE_FAULTS as error:
            # The act is over, and its caller is told of it: only a repetition of the request would miss this.
            _log.warning("what came of a request with a key was not written down error=%s", type(error).__name__)


def _replay(kept: Row[Any], secret: Sequence[str]) -> web.Response:
    if secret:
        raise Problem(
            HTTPStatus.CONFLICT,
            "shown_once",
            f"this request was carried out before; its {' and '.join(secret)} was shown then, and is not kept",
            made=orjson.loads(kept.body),
        )
    headers = {**kept.headers, REPLAYED: "true"}
    return web.Response(status=kept.status, body=kept.body, content_type=kept.media, headers=headers)


def _in_use() -> Problem:
    detail = f"a request with this {HEADER} is being worked on; ask again in a moment"
    return Problem(HTTPStatus.CONFLICT, "idempotency_key_in_use", detail, headers={"Retry-After": "1"})


REPLIES: Final = web.AppKey("replies", Replies)

# A key is taken where it is new, forgotten, or left by a writer that died before it did anything; and by an act that
# knows it itself also where it was waited for in vain.
_CLAIM_KEY: Final = text("""
INSERT INTO idempotent_requests AS r (key, fingerprint, claim, claimed_until)
VALUES (:key, :fingerprint, :claim, now() + CAST(:lasts AS interval))
ON CONFLICT (key) DO UPDATE SET fingerprint = EXCLUDED.fingerprint, claim = EXCLUDED.claim,
    claimed_until = EXCLUDED.claimed_until, created_at = now(), acted_at = NULL, status = NULL, media = NULL,
    headers = NULL, body = NULL
WHERE r.created_at < now() - CAST(:kept AS interval)
    OR r.status IS NULL AND r.fingerprint = EXCLUDED.fingerprint
        AND (CAST(:take AS boolean) OR r.acted_at IS NULL AND r.claimed_until < now())
RETURNING r.claim
""")

_READ: Final = text("""
SELECT fingerprint, status, media, headers, body, acted_at AT TIME ZONE 'UTC' AS acted_at,
    claimed_until > now() AS is_claimed
FROM idempotent_requests WHERE key = :key
""")

_KEEP: Final = text("""
UPDATE idempotent_requests SET status = :status, media = :media, headers = CAST(CAST(:headers AS text) AS jsonb),
    body = :body, claimed_until = now()
WHERE key = :key AND claim = :claim
""")

_RELEASE: Final = text("""
WITH marked AS (
    UPDATE idempotent_requests SET claimed_until = now()
    WHERE key = :key AND claim = :claim AND acted_at IS NOT NULL
)
DELETE FROM idempotent_requests WHERE key = :key AND claim = :claim AND acted_at IS NULL
""")

_FORGET: Final = text("""
DELETE FROM idempotent_requests WHERE key IN (
    SELECT key FROM idempotent_requests WHERE created_at < now() - CAST(:kept AS interval)
    ORDER BY created_at LIMIT 100)
""")
