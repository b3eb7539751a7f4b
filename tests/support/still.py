"""A copy that stands still: documents, moments and users as they are drawn, and a project that holds them."""

from typing import Final

from hypothesis import strategies as st

from common.clock import SECOND, Instant
from common.document import Document, Entitlement
from common.identifiers import UserId
from sidecar.freshness import StalePolicy
from sidecar.project import Project
from sidecar.replica import Copy, Proof
from sidecar.sources import Source
from tests.support.history import PROJECT, START, History, grant

PLAIN: Final = "abcXYZ019_.~:@-"
BEYOND: Final = 253402300800 * SECOND  # the year 10000
moments = st.one_of(st.integers(-SECOND, 3 * SECOND), st.integers(START - 5, START + 5), st.integers(0, BEYOND - 1))
rows = st.builds(
    grant,
    st.sampled_from(["pro", "pro", "free", "seats", "gone"]),
    st.sampled_from([None, None, None, 3, "unlimited"]),
    moments,
    st.one_of(st.none(), moments),
    st.sampled_from(["sub_1", "sub_1", "sub_2", "a,b", "a[b", "],", ""]),
)
users = st.text(PLAIN, min_size=1, max_size=3)


class StillClock:
    """Stands where it was put."""

    def __init__(self, now: int) -> None:
        self._now = Instant(now)

    def now(self) -> Instant:
        """Wall time."""
        return self._now

    def monotonic(self) -> float:
        """Seconds."""
        return 100.0


def project_of(
    history: History, held: dict[str, list[Entitlement]], clock: StillClock, *, complete: bool = True
) -> Project:
    """A project whose copy holds these; all there are, or perhaps not."""
    copy = Copy(PROJECT, history.catalogue, history.position)
    for user, entitlements in held.items():
        copy.hold(Document(UserId(user), PROJECT, *history.position, START, tuple(entitlements)))
    copy.proof = Proof.MATCHED if complete else Proof.NONE
    project = Project(PROJECT, StalePolicy())
    project.install(copy, Source.REDIS, clock.monotonic(), clock.monotonic())
    return project
