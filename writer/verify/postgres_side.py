"""Postgres compared with itself: every document against its own digest, and all of them against the project's."""

from common import document as documents
from common.document import DocumentError, digest_of
from writer.relay.project_snapshot import ProjectSnapshot
from writer.verify.report import Kind, Place, Report


async def compare_documents(snapshot: ProjectSnapshot, report: Report) -> None:
    """Compute the digests of a project's documents anew, and note in the report what does not agree."""
    head = snapshot.head
    count = digest = 0
    async for chunk in snapshot.documents(with_empty=False):
        for row in chunk:
            count, digest = count + 1, digest ^ row.digest
            try:
                own = digest_of(documents.decode(row.data))
            except DocumentError as error:
                report.found(Place.POSTGRES, Kind.UNREADABLE, f"user {row.user_id}", str(error))
                continue
            if own != row.digest:
                report.found(Place.POSTGRES, Kind.DIGEST, f"user {row.user_id}", f"at {row.position.token}")
    if (count, digest) != (head.count, head.digest):
        differs = count != head.count
        detail = f"{count} documents, {head.count} are counted" if differs else "not that of its documents"
        report.found(Place.POSTGRES, Kind.DIGEST, "project", detail)
