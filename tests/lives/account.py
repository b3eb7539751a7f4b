"""What the oracle may look at: the objects that Stripe holds in the end, the catalogues, and what was given by hand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gift:
    """A feature that an operator gave; Unix seconds, no `end` is for life."""

    ref: str
    project: str
    user: str
    feature: str
    value: Any
    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Account:
    """Stripe's objects by kind and id, each session's lines, and the time there. All in today's shapes."""

    objects: Mapping[str, Mapping[str, Json]]
    lines: Mapping[str, Sequence[Json]]
    now: int
    declared: Mapping[str, Json] = field(default_factory=dict)
    """By project: the body that declares its catalogue, with Stripe's ids."""
    gifts: Sequence[Gift] = ()
    gone: Mapping[str, Json] = field(default_factory=dict)
    """Customers that were deleted, by id, as they were told of for the last time."""

    def all(self, kind: str) -> Iterator[Json]:
        """Every object of a kind."""
        yield from self.objects.get(kind, {}).values()

    def find(self, kind: str, object_id: str | None) -> Json | None:
        """One object, or None."""
        return self.objects.get(kind, {}).get(object_id or "")
