"""The trail: ids that follow one payment, or one request, through the processes; they stand in logs and on the wire.

It is kept for whoever looks for it, and decides nothing: what of it cannot be read is left out.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final, Self
from uuid import uuid4

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_EVENT_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}")
_TRACEPARENT: Final = re.compile(r"00-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Trail:
    """Where something came from. Each part may be missing."""

    request_id: str | None = None
    """The caller's own, or made for it."""
    event_id: str | None = None
    """Stripe's event, `evt_…`."""
    traceparent: str | None = None
    """The span that goes on, as the W3C writes it."""

    def __bool__(self) -> bool:
        return self != NOWHERE

    @property
    def trace_id(self) -> str | None:
        """The trace's id in 32 hexadecimal digits."""
        found = None if self.traceparent is None else _TRACEPARENT.fullmatch(self.traceparent)
        return None if found is None else found["trace"]

    @classmethod
    def of_request(cls, request_id: str | None, traceparent: str | None) -> Self:
        """The trail of an HTTP request by its headers: a sane id is kept, else the trace's, else one is made."""
        trail = cls(_sane(_REQUEST_ID, request_id), None, _sane(_TRACEPARENT, traceparent))
        return trail if trail.request_id else replace(trail, request_id=trail.trace_id or uuid4().hex)

    @classmethod
    def from_json(cls, parsed: Any) -> Self:
        """Read the public shape, whatever it is."""
        if not isinstance(parsed, dict):
            return cls()
        return cls(
            _sane(_REQUEST_ID, parsed.get("request_id")),
            _sane(_EVENT_ID, parsed.get("event_id")),
            _sane(_TRACEPARENT, parsed.get("traceparent")),
        )

    def to_json(self) -> dict[str, str]:
        """The public shape: what is missing is left out."""
        parts = {"request_id": self.request_id, "event_id": self.event_id, "traceparent": self.traceparent}
        return {name: value for name, value in parts.items() if value is not None}


NOWHERE: Final = Trail()
"""Nothing is known of where it came from."""

_current: Final = ContextVar("trail", default=NOWHERE)


def current() -> Trail:
    """The trail of what runs now."""
    return _current.get()


@contextmanager
def followed(trail: Trail) -> Iterator[None]:
    """Within, also in tasks that are begun there, `trail` is the current one."""
    token = _current.set(trail)
    try:
        yield
    finally:
        _current.reset(token)


def of_event(event_id: str) -> Trail:
    """The current trail, that of an event from here on."""
    return replace(current(), event_id=_sane(_EVENT_ID, event_id))


def _sane(form: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None
