"""Redis's key names. A user id may hold `:`, so keys are split from the right."""

from common.identifiers import ProjectId, UserId

DOCUMENT_PREFIX = "entitlements:"
PROJECT_PREFIX = "billing:"

EMPTY_DOCUMENT_SECONDS = 86_400
"""How long an empty document stays after the last entitlement went."""

STREAM_FIELD = "message"
"""The one field of a change log entry; it holds the message as published."""


def document(user: UserId, project: ProjectId) -> str:
    """A user's document (string)."""
    return f"{DOCUMENT_PREFIX}{user}:{project}"


def split_document(key: str) -> tuple[UserId, ProjectId] | None:
    """The user and project that a document key names; None for any other key."""
    if not key.startswith(DOCUMENT_PREFIX):
        return None
    user, separator, project = key.removeprefix(DOCUMENT_PREFIX).rpartition(":")
    return (UserId(user), ProjectId(project)) if separator and user and project else None


def webhook(event_id: str) -> str:
    """A trace of a seen Stripe event (string that expires); it decides nothing."""
    return f"webhook:{event_id}"


def meta(project: ProjectId) -> str:
    """What Redis holds of a project (hash): epoch, revision, count, digest, and the token of a refill."""
    return f"billing:meta:{project}"


def users(project: ProjectId) -> str:
    """Users with a document (set)."""
    return f"billing:users:{project}"


def catalog(project: ProjectId) -> str:
    """The project's catalogue (string)."""
    return f"billing:catalog:{project}"


def changes(epoch: int, project: ProjectId) -> str:
    """The change log of one epoch (stream); entry ids are `<revision>-0`."""
    return f"billing:changes:{epoch}:{project}"


def sidecar(project: ProjectId, instance: str) -> str:
    """One sidecar's presence (string that expires)."""
    return f"billing:sidecar:{project}:{instance}"


def sidecars(project: ProjectId) -> str:
    """Instances by when they were last seen, Unix seconds (sorted set)."""
    return f"billing:sidecars:{project}"


def channel(project: ProjectId) -> str:
    """The pub/sub channel of a project's changes and heartbeats."""
    return f"billing:invalidate:{project}"
