"""A project as the fast lane sees it for a moment: the copy and its age, and what an answer says of them."""

from typing import Any

import orjson

from common.answers import Standing, stood
from common.position import NOWHERE
from sidecar.freshness import State
from sidecar.project import Project
from sidecar.replica import Copy


class View:
    """Of one project."""

    __slots__ = ("aged", "basis", "copy", "era", "middle", "moves", "project", "seen", "standing", "until")

    def __init__(self, project: Project) -> None:
        self.project = project
        self.copy: Copy | None = None
        self.basis: tuple[object, ...] = ()
        self.era = object()
        """Another one whenever what was decided before may not be used any more."""
        self.moves = -1
        self.aged = -1
        self.standing = Standing(NOWHERE, 0, stale=True)
        self.middle = b""
        """The standing as an answer's members."""
        self.seen: list[Any] = [[], b""]
        """Pages and middle, as the native part of the lane reads them; always the same list."""
        self.until = float("-inf")
        """When the age becomes another millisecond."""

    def holds(self, now: float) -> bool:
        """Whether what was seen last is still so, `now` in monotonic seconds."""
        copy = self.copy
        return (
            copy is not None
            and now < self.until
            and copy is self.project.replica.copy
            and copy.moves == self.moves
            and self.project.freshness.moves == self.aged
        )

    def current(self, now: float) -> Copy | None:
        """The copy, seen as it is; None where there is none, and where answers follow the stale policy."""
        if self.holds(now):
            return self.copy
        copy = self.project.replica.copy
        return copy if copy is not None and self._renew(copy, now) else None

    def _renew(self, copy: Copy, now: float) -> bool:
        """See it anew; False where it is too old."""
        freshness = self.project.freshness
        state = freshness.state(now)
        if state is State.TOO_OLD:
            return False
        basis = (copy, copy.catalogue, copy.complete)
        if self.basis != basis:
            self.basis, self.era = basis, object()
        age = freshness.age(now)
        self.standing = Standing(copy.position, int(age * 1000), stale=state is not State.FRESH)
        self.middle = b"," + orjson.dumps(stood(self.standing))[1:-1]
        self.seen[:] = copy.records.pages.pages, self.middle
        self.copy, self.moves, self.aged = copy, copy.moves, freshness.moves
        self.until = now + (self.standing.age_ms + 1) / 1000 - age
        return True
