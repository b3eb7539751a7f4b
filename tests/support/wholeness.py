"""Whether Redis holds what Postgres does, as somebody sees it who reads both."""

from typing import Any

from common import document as documents
from common import keys
from tests.support.ledger import Ledger
from tests.support.relaying import document_at, log_at, meta_at


async def is_whole(ledger: Ledger, redis: Any, since: int = 1) -> bool:
    """Everything that Postgres has stands at Redis, and Redis says so; its change log reaches back to `since`."""
    head = await ledger.head()
    if await meta_at(redis, ledger.project) != head:
        return False
    rows = await ledger.query("SELECT user_id, revision, digest, is_empty FROM documents")
    for row in rows:
        held = await document_at(redis, ledger.project, row.user_id)
        if held is None or held.position != (head.epoch, row.revision):
            return False
        if documents.digest_of(held) != int.from_bytes(row.digest, "big"):
            return False
    listed = {row.user_id.encode() for row in rows if not row.is_empty}
    logged = [message.position.revision for message in await log_at(redis, ledger.project, head.epoch)]
    return (
        listed <= await redis.smembers(keys.users(ledger.project))
        and bool(await redis.exists(keys.catalog(ledger.project)))
        and logged == list(range(since, head.revision + 1))
    )
