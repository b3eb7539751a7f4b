"""Idempotency keys: the same key and parameters get the first answer again for a day."""

import hashlib
from dataclasses import dataclass
from typing import Final

from sandbox.stripe.errors import StripeError
from sandbox.stripe.ledger import Ledger

KEPT_FOR: Final = 24 * 3600
LONGEST_KEY: Final = 255
KEPT_ERRORS: Final = frozenset({402})
"""Stripe keeps what ran and failed; a request that was refused before it ran may be sent again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer: status, body, and the id of the request that made it."""

    status: int
    body: str
    request_id: str


def fingerprint(path: str, body: str) -> str:
    """What must be the same for a replay."""
    return hashlib.sha256(f"{path}\n{body}".encode()).hexdigest()


def remembered(ledger: Ledger, key: str, print_: str) -> Answer | None:
    """The first answer, or None when the key is new.

    Raises:
        StripeError: 400 `idempotency_error` when the key was used with other parameters.
    """
    if len(key) > LONGEST_KEY:
        raise StripeError(400, "Idempotency keys can be at most 255 characters long.")
    found = ledger.store.note("idempotency").get(key)
    if found is None or found["at"] + KEPT_FOR <= ledger.clock.now():
        return None
    if found["print"] != print_:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{key}' if you meant to execute a different request."
        )
        raise StripeError(400, message, kind="idempotency_error")
    return Answer(found["status"], found["body"], found["request_id"])


def remember(ledger: Ledger, key: str, print_: str, answer: Answer) -> None:
    """Keep an answer that ran."""
    if answer.status < 300 or answer.status in KEPT_ERRORS:  # noqa: PLR2004
        ledger.store.note("idempotency")[key] = {
            "at": ledger.clock.now(),
            "print": print_,
            "status": answer.status,
            "body": answer.body,
            "request_id": answer.request_id,
        }
        ledger.store.changes += 1
