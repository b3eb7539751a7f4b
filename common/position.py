"""Where in a project's history something stands: (epoch, revision)."""

import re
from typing import NamedTuple, Self

_TOKEN = re.compile(r"(\d{1,18})\.(\d{1,18})")


class PositionError(ValueError):
    """A position must be written as epoch.revision, two whole numbers, such as 1763800000.42."""


class Position(NamedTuple):
    """A point in one project's history.

    `epoch` names a lineage of revisions and rises whenever revisions could go back; `revision` counts from 1
    within the project, gapless, in commit order. Positions compare as tuples, so any newer epoch is newer.
    """

    epoch: int
    revision: int

    @property
    def token(self) -> str:
        """The text form that `confirm` answers and `min_revision` takes."""
        return f"{self.epoch}.{self.revision}"

    @classmethod
    def parse(cls, token: str) -> Self:
        """Read `token`; PositionError where it is not epoch.revision."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise PositionError(PositionError.__doc__)
        return cls(int(match[1]), int(match[2]))


NOWHERE = Position(0, 0)
"""Before all history: what a copy holds that was never filled."""
