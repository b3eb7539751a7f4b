"""Sessions: a signed cookie, which every writer that knows the same admin keys can read (docs/adr/0025)."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from common.clock import SECOND, Clock
from common.settings import Secret
from writer.auth import admin_key_name

IDLE_SECONDS: Final = 2 * 3_600
"""A session that is not used for so long is over."""

LONGEST_SECONDS: Final = 12 * 3_600
"""However much it is used: a working day."""

_PURPOSE: Final = b"billing console session 1"
_PARTS: Final = 5
_MOST: Final = 300  # characters; ours have about 130
_NUMBER: Final = 12  # digits


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in. Times in Unix seconds, by the clock of the writer that signed it last."""

    actor: str
    """As the audit log names the admin key."""
    nonce: str
    began: int
    seen: int


class Sessions:
    """Makes and reads the cookie's text. A session ends with its admin key: it is signed with what follows from it."""

    def __init__(self, admin_keys: Sequence[Secret], clock: Clock) -> None:
        self._keys = {admin_key_name(key.reveal()): _signing_key(key) for key in admin_keys}
        self._clock = clock

    def begin(self, actor: str) -> Session:
        """A new session for the admin key of that name."""
        now = self._now()
        return Session(actor, secrets.token_urlsafe(16), now, now)

    def touched(self, session: Session) -> Session:
        """The same, used now."""
        return replace(session, seen=self._now())

    def write(self, session: Session) -> str:
        """The cookie's text."""
        return f"{_signed(session)}.{self._mac(session, b'session')}"

    def read(self, text: str) -> Session | None:
        """The session; None where it is over, or was not signed with an admin key that is good now."""
        parts = text.split(".") if len(text) <= _MOST and text.isascii() else []
        if len(parts) != _PARTS or not all(part.isdecimal() and len(part) <= _NUMBER for part in parts[2:4]):
            return None
        session = Session(parts[0], parts[1], int(parts[2]), int(parts[3]))
        if session.actor not in self._keys or not hmac.compare_digest(parts[4], self._mac(session, b"session")):
            return None
        now = self._now()
        is_over = now - session.seen >= IDLE_SECONDS or now - session.began >= LONGEST_SECONDS
        return None if is_over else session

    def token(self, session: Session) -> str:
        """What every form of this session carries, so that no other site can fill one in."""
        return self._mac(replace(session, began=0, seen=0), b"form")

    def is_token(self, session: Session, text: str) -> bool:
        """Whether `text` is that."""
        return hmac.compare_digest(text.encode("utf-8", "replace"), self.token(session).encode())

    def _mac(self, session: Session, what: bytes) -> str:
        message = what + b"\0" + _signed(session).encode()
        return hmac.new(self._keys[session.actor], message, hashlib.sha256).hexdigest()

    def _now(self) -> int:
        return self._clock.now() // SECOND


def _signed(session: Session) -> str:
    return f"{session.actor}.{session.nonce}.{session.began}.{session.seen}"


def _signing_key(key: Secret) -> bytes:
    return hmac.new(key.reveal().encode(), _PURPOSE, hashlib.sha256).digest()
