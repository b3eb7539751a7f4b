"""Who calls: an app with its project's key, or an operator with the admin key."""

import asyncio
import hashlib
import hmac
import logging
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import SECOND, Clock, Instant, from_datetime, to_datetime
from common.identifiers import IdentifierError, ProjectId, project_id
from common.problems import Problem, bad_request
from common.settings import Secret
from writer.operations.audit import Actor
from writer.operations.keys import KEY_MARK, hash_of
from writer.throttle import Throttle

_log = logging.getLogger(__name__)

KEY_CACHE_SECONDS: Final = 2.0
"""How long a key is trusted without asking the database: within this time a revocation takes effect everywhere."""

_MAX_CACHED: Final = 10_000
_MAX_KEY: Final = 200
_MINUTE: Final = 60 * SECOND
_NOTE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The project that a request may speak for, and which app's key it showed."""

    project_id: int
    project: ProjectId
    app: str
    key_prefix: str


@dataclass(frozen=True, slots=True)
class _Known:
    key_id: int
    holder: KeyHolder
    expires_at: Instant | None
    revoked: bool
    disabled: bool
    read_at: float


class Authenticator:
    """Judges the `Authorization` header. Keys are looked up by their hash and cached for two seconds."""

    def __init__(
        self,
        engine: AsyncEngine,
        admin_keys: tuple[Secret, ...],
        clock: Clock,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._throttle = Throttle(clock, registry or CollectorRegistry())
        self._engine = engine
        self._admin_keys = tuple(key.reveal().encode() for key in admin_keys)
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._used: dict[int, Instant] = {}
        self.uses: Counter[tuple[ProjectId, str]] = Counter()
        """Requests with a good project key, by project and app."""
        self.admin_uses: Counter[str] = Counter()
        """Requests with an admin key, by its name in the audit log."""
        self.lookups: Counter[str] = Counter()
        """Lookups in the cache of keys: `hit` and `miss`."""

    async def project(self, request: web.Request, named: str | None = None) -> KeyHolder:
        """The holder of the request's project key; `named` is the project that the request itself names.

        Problems: 401 `missing_key`, `invalid_key`, `expired_key`, `revoked_key`, `disabled_app`; 403 `wrong_project`;
        429 `too_many_failures`.
        """
        token = self._bearer(request)
        if self._is_admin(request, token):
            raise self._throttle.told(
                _other_key("project_key_required", "this route takes a project's key, not the admin key")
            )
        return self._same(await self._holder(request, token), named)

    async def admin(self, request: web.Request) -> Actor:
        """The operator behind the admin key. Problems: 401 and 429 as for a project, 403 `admin_key_required`."""
        return self.operator(request, self._bearer(request))

    def operator(self, request: web.Request, token: str) -> Actor:
        """The same for a key that came another way: a form. Problems: 401 `invalid_key`, 429, 403 as above."""
        if self._is_admin(request, token):
            return self._operator(token, request)
        if token.startswith(KEY_MARK):
            raise self._throttle.told(
                _other_key("admin_key_required", "this route takes the admin key, not a project's key")
            )
        refusal = _refusal("invalid_key", "the admin key is not one of those in ADMIN_API_KEY")
        raise self._throttle.failed(request.remote, refusal)

    async def project_or_admin(self, request: web.Request, project: str | None) -> KeyHolder:
        """As `project`; with the admin key the request must name the project: 400 `project_required`, 404 unknown."""
        token = self._bearer(request)
        if not self._is_admin(request, token):
            return self._same(await self._holder(request, token), project)
        if not project:
            raise bad_request("project_required", "with the admin key, project_id is required")
        name = _possible(project)
        async with self._engine.connect() as connection:
            row = (await connection.execute(_PROJECT, {"public_id": name})).one_or_none()
        if row is None:
            raise _unknown(f"there is no project {name}")
        return KeyHolder(row.id, name, "admin", self._operator(token, request).name)

    async def note_use(self) -> None:
        """Write down which keys were used since the last time, to the minute; one statement for all."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._engine.begin() as connection:
                await connection.execute(
                    _NOTE_USE, {"ids": sorted(used), "times": [to_datetime(used[key]) for key in sorted(used)]}
                )
        except BaseException:
            self._used = used | self._used
            raise

    async def run(self) -> None:
        """Note the use of keys, over and over, until cancelled."""
        while True:
            await asyncio.sleep(_NOTE_SECONDS)
            try:
                await self.note_use()
            except Exception as error:
                # Nothing depends on it, and it is kept for the next round.
                _log.warning("use of keys was not noted: %s", type(error).__name__)

    async def _holder(self, request: web.Request, token: str) -> KeyHolder:
        known = await self._look_up(token)
        now = self._clock.now()
        if known is None:
            refusal = _refusal(
                "invalid_key", "the key is not known; keys begin with bk_ and are shown once, when created"
            )
        elif known.revoked:
            refusal = _refusal("revoked_key", "the key was revoked; create a new one for this app")
        elif known.disabled:
            refusal = _refusal("disabled_app", "the key's app is disabled; an operator can enable it again")
        elif known.expires_at is not None and known.expires_at <= now:
            refusal = _refusal("expired_key", "the key has expired; create a new one for this app")
        else:
            self._used[known.key_id] = Instant(now - now % _MINUTE)
            self.uses[known.holder.project, known.holder.app] += 1
            return known.holder
        raise self._throttle.failed(request.remote, refusal)

    async def _look_up(self, token: str) -> _Known | None:
        if not token.startswith(KEY_MARK) or len(token) > _MAX_KEY or not token.isascii():
            return None
        digest = hash_of(token)
        known = self._known.get(digest)
        if known is not None and self._clock.monotonic() - known.read_at < KEY_CACHE_SECONDS:
            self.lookups["hit"] += 1
            return known
        self.lookups["miss"] += 1
        read_at = self._clock.monotonic()
        async with self._engine.connect() as connection:
            row = (await connection.execute(_KEY, {"hash": digest})).one_or_none()
        if row is None:
            return None
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()
        self._known[digest] = known = _known(row, read_at)
        return known

    def _operator(self, token: str, request: web.Request) -> Actor:
        actor = Actor(admin_key_name(token), request.remote)
        self.admin_uses[actor.name] += 1
        return actor

    def _same(self, holder: KeyHolder, named: str | None) -> KeyHolder:
        if named and named != holder.project:
            detail = "the key belongs to another project than the one named"
            raise self._throttle.told(_other_key("wrong_project", detail))
        return holder

    def _bearer(self, request: web.Request) -> str:
        try:
            return _bearer(request)
        except Problem as problem:
            raise self._throttle.failed(request.remote, problem) from None

    def _is_admin(self, request: web.Request, token: str) -> bool:
        shown = token.encode("utf-8", "surrogateescape")
        digest = hashlib.sha256(shown).digest()
        if not token.startswith(KEY_MARK):
            self._throttle.check(request.remote, digest)
        # Every key is compared, so that the time tells nothing about which one was nearly right.
        good = any([hmac.compare_digest(shown, key) for key in self._admin_keys])  # noqa: C419
        if good:
            self._throttle.succeeded(request.remote, digest)
        return good


def admin_key_name(key: str) -> str:
    """How the audit log names an admin key: which of several it was, without any part of the key itself."""
    return f"admin-key:{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _known(row: Any, read_at: float) -> _Known:
    expires_at = None if row.expires_at is None else from_datetime(row.expires_at)
    holder = KeyHolder(row.project_id, ProjectId(row.public_id), row.app, row.prefix)
    return _Known(row.id, holder, expires_at, row.revoked_at is not None, row.disabled_at is not None, read_at)


def _bearer(request: web.Request) -> str:
    header = request.headers.get("Authorization", "")
    scheme, _, token = header.partition(" ")
    if not header:
        raise _refusal("missing_key", "send the key as Authorization: Bearer KEY")
    if scheme.lower() != "bearer" or not token.strip():
        raise _refusal("missing_key", "the Authorization header must be: Bearer KEY")
    return token.strip()


def _refusal(code: str, detail: str) -> Problem:
    error = "" if code == "missing_key" else ', error="invalid_token"'
    return Problem(
        HTTPStatus.UNAUTHORIZED, code, detail, headers={"WWW-Authenticate": f'Bearer realm="billing"{error}'}
    )


def _possible(name: str) -> ProjectId:
    try:
        return project_id(name)
    except IdentifierError as error:
        raise _unknown(f"there is no such project: {error}") from error


def _unknown(detail: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "unknown_project", detail)


def _other_key(code: str, detail: str) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, code, detail)


_KEY: Final = text("""
SELECT k.id, k.prefix, k.expires_at, k.revoked_at, a.disabled_at, a.name AS app, a.project_id, p.public_id
FROM api_keys k JOIN apps a ON a.id = k.app_id JOIN projects p ON p.id = a.project_id WHERE k.hash = :hash
""")

_PROJECT: Final = text("SELECT id FROM projects WHERE public_id = :public_id")

_NOTE_USE: Final = text("""
UPDATE api_keys k SET last_used_at = w.at
FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS w(id, at)
WHERE k.id = w.id AND (k.last_used_at IS NULL OR k.last_used_at < w.at)
""")
