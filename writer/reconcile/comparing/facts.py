"""Facts: one object as Stripe tells it and as it is held, field by field, and what differs between the two."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from writer.domain.stripe.fields import Object
from writer.domain.stripe.kinds import ObjectKind

T = TypeVar("T")

Facts = Mapping[str, Any]
"""Field to value; a part has its id before the field's name, as in `si_1.price_id`."""

_MANY: Final = 20
_LONG: Final = 80
_PERSONAL: Final = frozenset({"metadata", "name", "description", "nickname"})
"""What people wrote: that it differs is reported, and not what it says."""


@dataclass(frozen=True, slots=True)
class Sides:
    """What Stripe tells of an object, and what is held of it; None: it is not known here."""

    told: Facts
    held: Facts | None


@dataclass(frozen=True, slots=True)
class Comparison(Generic[T]):
    """How objects of one kind are compared.

    `parse` raises ShapeError. `sides` has an entry for each object that can matter here, by its id.
    """

    kind: ObjectKind
    parse: Callable[[Object], T]
    sides: Callable[[AsyncConnection, Sequence[T]], Awaitable[Mapping[str, Sides]]]


def difference(sides: Sides) -> dict[str, list[Any] | None]:
    """The fields that differ, each as `[held, told]`, None where its content is not for reports; empty: equal."""
    held = sides.held or {}
    names = dict.fromkeys([*sides.told, *held])
    return {name: _shown(name, held, sides.told) for name in names if held.get(name) != sides.told.get(name)}


def abridged(differing: Mapping[str, Any]) -> dict[str, Any]:
    """So much of a difference as a report needs."""
    return dict(list(differing.items())[:_MANY])


def _shown(name: str, held: Facts, told: Facts) -> list[Any] | None:
    if name in _PERSONAL:
        return None
    return [_short(held.get(name)), _short(told.get(name))]


def _short(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int) else str(value)[:_LONG]
