"""Where in the console each cause of a denial is mended."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

_CATALOGUE: Final = ("unknown_feature", "source_not_placed", "source_not_in_plan", "source_unknown_feature")
_CLAIMS: Final = ("nobodys", "nobodys_candidate", "source_unassigned", "source_anothers")
_GRANTS: Final = (
    "no_source", "zero_limit", "source_ended", "source_expired", "source_revoked", "source_refunded",
    "source_dispute_lost", "source_status", "source_grace_over", "source_not_paid", "source_not_yet",
)  # fmt: skip


def remedy(cause: Mapping[str, Any], project: str, user: str, feature: str) -> tuple[str, str] | None:
    """What a link says, and its path within the console; None: nothing here mends it."""
    code, object_id = cause["code"], cause["object_id"] or ""
    here = {"project_id": project, "user_id": user}
    if code in {"parked_event", "pending_event"}:
        return "Look at the event", f"events/{object_id}"
    if code in _CLAIMS:
        return "Say whose it is", f"unassigned/claim?{urlencode({**here, 'object_id': object_id})}"
    if code == "feature_removed":
        before = int(object_id.partition(":")[2]) - 1
        return "Take the version before as a draft", f"catalogue/{project}?version={before}#edit"
    if code in _CATALOGUE:
        return "To the catalogue", f"catalogue/{project}"
    if code in _GRANTS:
        return "Grant it", f"customers/user?{urlencode({**here, 'feature': feature})}#grant"
    return _elsewhere(code, user)


def _elsewhere(code: str, user: str) -> tuple[str, str] | None:
    match code:
        case "document_behind" | "not_computed":
            return "Compute again", "#again"
        case "recompute_running":
            return "To the jobs", "catalogue"
        case "source_lapsed":
            return "Reconcile", "reconcile"
        case "other_project":
            return "Find this user", f"customers?{urlencode({'q': user})}"
        case "unknown_user":
            return "To what is nobody's", "unassigned"
    return None
