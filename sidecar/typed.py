"""An answer as Python code takes it: from the client over HTTP, and from the replica inside the process."""

from datetime import datetime
from typing import Any, Literal

import msgspec


class Check(msgspec.Struct, frozen=True, gc=False):
    """May `user_id` use `feature`? It is true or false by itself: `if await client.check(user, feature): …`.

    `reason` is one of `granted not_granted expired not_yet_valid unknown_feature stale_denied stale_allowed`, or
    `unavailable` where nobody could be asked and the caller's own policy decided. `age_ms` is how old the copy is.
    """

    allowed: bool
    user_id: str
    project_id: str | None
    feature: str
    reason: str
    value: Any = None
    """None for a plain feature, a whole number or "unlimited" for a limit, text or an object for configuration."""
    source: str | None = None
    valid_to: datetime | None = None
    unlocked_by: tuple[str, ...] = ()
    """Prices that would unlock a feature that was denied."""
    epoch: int = 0
    revision: int = 0
    age_ms: int = 0
    stale: bool = False
    behind: bool = False
    """Older than the `min_revision` that was asked for."""
    remaining: int | Literal["unlimited"] | None = None
    """What is left of a limit, where `used` was told."""

    def __bool__(self) -> bool:
        """Whether it is allowed."""
        return self.allowed

    @property
    def token(self) -> str:
        """Where the copy stood, as `min_revision` takes it."""
        return f"{self.epoch}.{self.revision}"
