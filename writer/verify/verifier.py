"""Compares Postgres with itself, Redis with Postgres, and the live sidecars' digests with their revisions'."""

from collections.abc import Sequence
from typing import Protocol

from common.identifiers import ProjectId
from common.position import Position
from writer.cache.copy import CacheCopy
from writer.relay.backlog import Backlog
from writer.relay.heads import Head, Standing
from writer.relay.presence import Presence
from writer.relay.project_relay import CacheFaultError
from writer.relay.project_snapshot import ProjectSnapshots
from writer.verify.postgres_side import compare_documents
from writer.verify.redis_side import RedisSide, Tell, rounds
from writer.verify.report import Kind, Place, Report
from writer.verify.sidecar_side import judge_presences


class Directory(Protocol):
    """Which sidecars there are; CacheFaultError."""

    async def of(self, project: ProjectId) -> Sequence[Presence]:
        """Those whose presence has not expired."""
        ...


class Heads(Protocol):
    """Where projects stand."""

    async def read(self, project_id: int) -> Head:
        """The head as it is now."""
        ...


class Verifier:
    """Compares one project after another; changes nothing. `patience`: seconds that a change may be on its way."""

    def __init__(
        self,
        heads: Heads,
        snapshots: ProjectSnapshots,
        backlog: Backlog,
        cache: CacheCopy,
        directory: Directory,
        patience: float,
    ) -> None:
        self._heads = heads
        self._snapshots = snapshots
        self._backlog = backlog
        self._cache = cache
        self._directory = directory
        self._patience = patience
        self._redis = RedisSide(snapshots, cache, patience)

    async def verify(self, project_id: int, tell: Tell) -> Report:
        """Everything of one project. The database's faults are raised; Redis's are findings."""
        head = await self._heads.read(project_id)
        report = Report(head.project, head.standing)
        async with self._snapshots.open(project_id) as snapshot:
            await compare_documents(snapshot, report)
        try:
            await self._standing(project_id, report)
            await self._redis.catalogue(project_id, report)
            await self._redis.documents(project_id, report, tell)
            await self._sidecars(project_id, report)
        except CacheFaultError as error:
            report.found(Place.REDIS, Kind.UNREACHABLE, "Redis", str(error))
        return report

    async def _standing(self, project_id: int, report: Report) -> None:
        """What Redis says that it holds, and the change log, once they have had time to catch up."""
        found: tuple[Kind, str, str] | None = None
        async for _ in rounds(self._patience):
            said = await self._cache.standing(ProjectId(report.project))
            # Read after what Redis said: it was committed before, if it ever was.
            head = await self._heads.read(project_id)
            found = await self._judge(project_id, said, head)
            report.redis = None if said is None else said.position
            if found is None:
                return
        if found is not None:
            report.found(Place.REDIS, *found)

    async def _judge(self, project_id: int, said: Standing | None, head: Head) -> tuple[Kind, str, str] | None:
        if said is None:
            token = (await self._cache.holding(head.project, head.position.epoch)).token
            return (Kind.MISSING if token is None else Kind.REFILLING), "meta", ""
        told = f"says {said.position.token}, committed is {head.position.token}"
        if said.position > head.position:
            return Kind.AHEAD, "meta", told
        if said.position < head.position:
            return Kind.BEHIND, "meta", told
        if (said.count, said.digest) != (head.standing.count, head.standing.digest):
            return Kind.DIGEST, "meta", f"at {said.position.token}"
        first, last, length = await self._cache.log_bounds(head.project, head.position.epoch)
        missing = length != last - first + 1 if length else await self._logged(project_id, head.position)
        if missing or (length and last < said.position.revision):
            return Kind.GAP, "change log", f"{length} entries from {first} to {last}"
        return None

    async def _logged(self, project_id: int, position: Position) -> bool:
        """Whether a change log must exist."""
        return (await self._backlog.start(project_id, position)).logged

    async def _sidecars(self, project_id: int, report: Report) -> None:
        """Each live sidecar's digest against that of its revision."""
        async for _ in rounds(self._patience):
            present = await self._directory.of(ProjectId(report.project))
            head = await self._heads.read(project_id)
            known = {
                at: (await self._backlog.start(project_id, at)).standing
                for at in {one.position for one in present if one.position is not None}
                if at <= head.position
            }
            judged = judge_presences(present, head.standing, known)
            report.sidecars = judged.states
            if not judged.findings:
                return
        for subject, (kind, detail) in judged.findings.items():
            report.found(Place.SIDECAR, kind, subject, detail)
