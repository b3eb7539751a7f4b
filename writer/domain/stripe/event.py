"""A Stripe event, whole (v1) or thin (v2), and whether it is ours to apply."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from common.clock import Instant
from writer.domain.stripe import fields
from writer.domain.stripe.fields import Object, ShapeError
from writer.domain.stripe.kinds import KIND_OF_TYPE, ObjectKind, is_deletion, kind_of_object

_THIN: Final = "v2.core.event"


class Ignored(StrEnum):
    """Why an event is stored but never applied; the value is what operators read."""

    CONNECT = "it belongs to a connected account"
    MODE = "its livemode is not ours"
    TYPE = "its type changes no entitlement"
    OBJECT = "it names no object"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. It is a hint that an object changed, and mostly carries the object as it then was."""

    id: str
    type: str
    created: Instant
    livemode: bool
    account: str | None
    api_version: str | None
    kind: ObjectKind | None
    """None: no kind of object that entitlements are made of."""
    object_id: str | None
    payload: Object | None
    """The object as of `created`; None on a thin event, whose object must be fetched."""

    @property
    def awaited(self) -> bool:
        """Whether somebody may be waiting for what it brings.

        A subscription brings its own events; the session that made it only adds to them.
        """
        return self.kind is not ObjectKind.SESSION or (self.payload or {}).get("mode") != "subscription"

    @property
    def by_test_clock(self) -> bool:
        """Whether `created` is a test clock's time, which cannot be compared with Stripe's own."""
        return bool((self.payload or {}).get("test_clock"))

    def ignored(self, *, livemode: bool) -> Ignored | None:
        """Why this event is not ours to apply, where our keys are of `livemode`; None: it is."""
        if self.account is not None:
            return Ignored.CONNECT
        if self.livemode != livemode:
            return Ignored.MODE
        if self.kind is None:
            return Ignored.TYPE
        return Ignored.OBJECT if self.object_id is None else None


def parse_event(parsed: Any) -> Event:
    """Read an event; ShapeError where it is none."""
    if not isinstance(parsed, Mapping) or parsed.get("object") not in {"event", _THIN}:
        raise ShapeError("object must be an event")
    return _thin(parsed) if parsed["object"] == _THIN else _whole(parsed)


def _whole(parsed: Object) -> Event:
    payload = fields.child(fields.child(parsed, "data"), "object")
    event_type = fields.text(parsed, "type")
    return Event(
        id=fields.text(parsed, "id"),
        type=event_type,
        created=fields.instant(parsed, "created"),
        livemode=fields.flag(parsed, "livemode"),
        account=fields.optional_text(parsed, "account"),
        api_version=fields.optional_text(parsed, "api_version"),
        kind=KIND_OF_TYPE.get(event_type),
        object_id=fields.optional_text(payload, "id"),
        payload={**payload, "deleted": True} if is_deletion(event_type) else payload,
    )


def _thin(parsed: Object) -> Event:
    related = fields.child(parsed, "related_object")
    created = fields.instant(parsed, "created")
    return Event(
        id=fields.text(parsed, "id"),
        type=fields.text(parsed, "type"),
        created=created,
        livemode=fields.flag(parsed, "livemode"),
        account=fields.optional_text(parsed, "context"),
        api_version=None,
        kind=kind_of_object(fields.optional_text(related, "type") or ""),
        object_id=fields.optional_text(related, "id"),
        payload=None,
    )
