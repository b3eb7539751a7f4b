"""A sidecar's disk: `sidecar.disk.Disk` without files. It outlives the process; what is half written is not there."""

from typing import Any

from common.identifiers import ProjectId
from sidecar.copy_file import Contents, Head
from sidecar.disk import Saved


class MemoryDisk:
    """Keeps what files would hold, so that nothing of the process stays in it."""

    def __init__(self) -> None:
        self._held: dict[ProjectId, tuple[Any, list[list[Any]], list[bytes]]] = {}

    def read(self, project: ProjectId) -> Contents | None:
        """The project's copy."""
        held = self._held.get(project)
        if held is None:
            return None
        head, grants, pages = held
        return Contents(Head.from_json(head), [list(grant) for grant in grants], list(pages))

    def save(self, head: Head, grants: list[list[Any]], pages: list[bytes]) -> Saved:
        """Put a copy in place of the one before, unless that is newer."""
        held = self.read(head.project)
        if held is not None and held.head.position > head.position:
            return Saved.NEWER_THERE
        self._held[head.project] = (head.to_json(), [list(grant) for grant in grants], list(pages))
        pages.clear()
        return Saved.SAVED
