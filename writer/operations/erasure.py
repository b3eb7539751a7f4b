"""Erasure: nothing that is kept tells any more who a user was; what was paid stays, under a pseudonym.

First the payloads of all events about what the user has at Stripe are cut down to what they are about; that can be cut
off and done again. Then, in one transaction, the user holds nothing more and gets a pseudonym everywhere. What is known
of their objects at Stripe is closed: no later event or comparison brings the name back.

For about two days the name stays where sidecars are told that it holds nothing: in Redis, in what is still to be told,
and on the empty document. The relay forgets it then (`forget_names`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import to_datetime
from common.identifiers import UserId
from common.keys import EMPTY_DOCUMENT_SECONDS
from common.position import Position
from writer.apply import objects
from writer.db.transaction import Transactions
from writer.domain.stripe.watermark import CLOSED
from writer.operations import audit, payloads, projects
from writer.operations.audit import Act, Actor
from writer.operations.projects import Project
from writer.outbox import Cause
from writer.recompute import Recompute, lock_user_refs
from writer.refusals import ConflictError

_TOLD_SECONDS: Final = 2 * EMPTY_DOCUMENT_SECONDS
"""Longer than Redis keeps an empty document, and than the walk takes that strikes its user off the list there."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure came to. `pseudonym` None: nothing was held of such a user."""

    project: Project
    pseudonym: UserId | None
    counts: dict[str, int]
    position: Position


@dataclass(frozen=True, slots=True)
class _Held:
    ref: int
    names: tuple[UserId, ...]
    """The user's own, and those that were merged into it."""
    objects: tuple[str, ...]
    """Everything of theirs at Stripe that is known, by id."""
    was_erased: bool

    @property
    def closable(self) -> list[str]:
        """Those that name their user, and so are never to be applied again."""
        return [name for name in self.objects if name.startswith(("sub_", "cs_", "cus_"))]


class Erasure:
    """Erases users. Again it does what is left to do, so after an interruption it is simply asked for again."""

    def __init__(self, transactions: Transactions, recompute: Recompute) -> None:
        self._transactions = transactions
        self._recompute = recompute

    async def erase(self, name: str, user: UserId, reason: str | None, actor: Actor) -> Erased:
        """Erase a user of a project, by id or, once more, by pseudonym.

        ConflictError `still_subscribed`: while Stripe goes on charging, it goes on sending who is charged.
        """
        held = await self._transactions.run(lambda connection: _look(connection, name, user))
        events = 0
        if held is not None:
            events = await payloads.scrub(self._transactions, held.objects)

        async def work(connection: AsyncConnection) -> Erased:
            project = await projects.find(connection, name)
            now = await _locked(connection, name, user)
            if now is None:
                return Erased(project, None, {}, project.position)
            late = await payloads.scrub_of(connection, now.objects)
            if now.was_erased:
                return await _again(connection, project, now.names[0], events + late, actor)
            return await self._write(connection, project, now, events + late, reason, actor)

        return await self._transactions.run(work)

    async def _write(
        self, connection: AsyncConnection, project: Project, held: _Held, events: int, reason: str | None, actor: Actor
    ) -> Erased:
        pseudonym = UserId(f"erased-{uuid4().hex}")
        parameters = {
            "ref": held.ref,
            "project": project.public_id,
            "pseudonym": pseudonym,
            "actor": actor.name,
            "closed": to_datetime(CLOSED),
            "objects": held.closable,
        }
        await connection.execute(_END, parameters)
        # Under the name that sidecars know.
        await self._recompute.users(connection, [held.ref], Cause("erasure"))
        counts = dict((await connection.execute(_RENAME, parameters)).one()._mapping)  # noqa: SLF001
        for name in held.names:
            await _rename_in_logs(connection, name, pseudonym, held.objects)
        counts["events"] = events
        told = _without(reason, held.names)
        act = Act("user.erase", project.id, f"user:{pseudonym}", told, before={"erased": False}, after=counts)
        await audit.record(connection, actor, act)
        return Erased(project, pseudonym, counts, (await projects.find_by_id(connection, project.id)).position)


async def _again(connection: AsyncConnection, project: Project, pseudonym: UserId, events: int, actor: Actor) -> Erased:
    """What Stripe sent after the erasure was cut down too."""
    counts = {"events": events}
    if events:
        await audit.record(connection, actor, Act("user.erase", project.id, f"user:{pseudonym}", after=counts))
    return Erased(project, pseudonym, counts, project.position)


async def forget_names(connection: AsyncConnection, project_id: int) -> int:
    """Take the names of users who were erased off their empty documents, once nobody needs to be told of those."""
    return (await connection.execute(_FORGET_NAMES, {"project_id": project_id, "seconds": _TOLD_SECONDS})).rowcount


def to_json(done: Erased) -> dict[str, Any]:
    """The outcome in its public shape."""
    return {
        "project_id": done.project.public_id,
        "erased": done.pseudonym is not None,
        "pseudonym": done.pseudonym,
        "counts": done.counts,
        "token": done.position.token,
    }


async def _look(connection: AsyncConnection, name: str, user: UserId) -> _Held | None:
    project = await projects.find(connection, name)
    row = (await connection.execute(_LOOK, {"project_id": project.id, "user_id": user})).one_or_none()
    if row is None:
        return None
    if row.open is not None:
        raise ConflictError(
            "still_subscribed",
            f"the subscription {row.open} goes on: cancel it at Stripe, at once and not at its period's end, first",
        )
    return _Held(row.id, tuple(map(UserId, row.names)), tuple(row.objects), row.erased_at is not None)


async def _locked(connection: AsyncConnection, name: str, user: UserId) -> _Held | None:
    """The same under the locks of the objects and the user, as it stays."""
    held = await _look(connection, name, user)
    if held is None:
        return None
    await objects.lock(connection, held.closable)
    await lock_user_refs(connection, [held.ref])
    return await _look(connection, name, user)


async def _rename_in_logs(connection: AsyncConnection, name: UserId, pseudonym: UserId, theirs: Sequence[str]) -> None:
    quoted, new = orjson.dumps(name).decode(), orjson.dumps(pseudonym).decode()
    parameters = {
        "subject": f"user:{name}",
        "new_subject": f"user:{pseudonym}",
        "named": f'user_id": {quoted}',
        "new_named": f'user_id": {new}',
        "objects": list(theirs),
        "quoted": quoted,
        "new": new,
        # Where a project stands before it, as in a report of whose something should be.
        "tail": f"/{quoted[1:]}",
        "new_tail": f"/{new[1:]}",
    }
    await connection.execute(_RENAME_AUDIT, parameters)
    await connection.execute(_RENAME_FINDINGS, parameters)
    await connection.execute(_DROP_REPLIES, {"needle": quoted.encode()})


def _without(reason: str | None, names: Sequence[str]) -> str | None:
    for name in sorted(names, key=len, reverse=True):
        reason = None if reason is None else reason.replace(name, "…")
    return reason


# A customer who is somebody else's by now pays for both: their data is not this user's alone, and stays.
_LOOK: Final = text("""
WITH found AS (
    SELECT coalesce(m.id, u.id) AS id FROM users u LEFT JOIN users m ON m.id = u.merged_into
    WHERE u.project_id = :project_id AND u.user_id = :user_id
), subs AS (
    SELECT s.id, s.status, s.customer_id FROM subscriptions s
    WHERE s.id IN (SELECT i.subscription_id FROM subscription_items i JOIN found ON i.user_ref = found.id)
), bought AS (
    SELECT p.id, p.customer_id, p.payment_intent, p.invoice_id FROM purchases p
    WHERE p.id IN (SELECT l.purchase_id FROM purchase_lines l JOIN found ON l.user_ref = found.id)
), intents AS (
    SELECT payment_intent FROM bought WHERE payment_intent IS NOT NULL
), customers AS (
    SELECT id FROM stripe_customers WHERE user_ref IN (SELECT id FROM found)
    UNION SELECT b.customer_id FROM (SELECT customer_id FROM subs UNION SELECT customer_id FROM bought) b
    WHERE b.customer_id IS NOT NULL AND NOT EXISTS (SELECT FROM stripe_customers c
        WHERE c.id = b.customer_id AND c.user_ref NOT IN (SELECT id FROM found))
), sessions AS (
    SELECT said_by AS id FROM customer_names JOIN customers ON customers.id = customer_id WHERE said_by LIKE 'cs%'
    UNION SELECT session_id FROM checkout_requests WHERE user_ref IN (SELECT id FROM found)
)
SELECT u.id, u.erased_at,
    (SELECT min(id) FROM subs WHERE status NOT IN ('canceled', 'incomplete_expired')) AS open,
    u.user_id || ARRAY(SELECT user_id FROM users WHERE merged_into = u.id ORDER BY user_id) AS names,
    ARRAY(SELECT id FROM subs UNION SELECT id FROM bought UNION SELECT id FROM sessions UNION SELECT id FROM customers
        UNION SELECT invoice_id FROM bought WHERE invoice_id IS NOT NULL UNION SELECT payment_intent FROM intents
        UNION SELECT v.id FROM invoices v JOIN subs ON v.subscription_id = subs.id
        UNION SELECT r.id FROM refunds r JOIN intents USING (payment_intent)
        UNION SELECT d.id FROM disputes d JOIN intents USING (payment_intent)
        UNION SELECT r.charge FROM refunds r JOIN intents USING (payment_intent) WHERE r.charge IS NOT NULL) AS objects
FROM users u JOIN found ON found.id = u.id
""")

_END: Final = text("""
WITH ended AS (
    UPDATE manual_grants SET revoked_at = now(), revoked_by = :actor WHERE user_ref = :ref AND revoked_at IS NULL
)
UPDATE users SET erased_at = now() WHERE id = :ref
""")

_RENAME: Final = text("""
WITH renamed AS (
    UPDATE users u SET user_id = CASE WHEN u.id = :ref THEN CAST(:pseudonym AS text)
        ELSE CAST(:pseudonym AS text) || '-' || u.id END,
        erased_at = now()
    WHERE u.id = :ref OR u.merged_into = :ref
), history AS (
    UPDATE entitlement_history SET user_id = CAST(:pseudonym AS text)
    WHERE user_ref IN (SELECT id FROM users WHERE id = :ref OR merged_into = :ref) RETURNING 1
), subs AS (
    UPDATE subscriptions s SET user_id = CAST(:pseudonym AS text), claimed_user_id = CAST(:pseudonym AS text),
        session_user_id = NULL,
        metadata = jsonb_strip_nulls(jsonb_build_object('project_id', s.metadata->'project_id'))
    WHERE s.id IN (SELECT subscription_id FROM subscription_items WHERE user_ref = :ref) RETURNING s.id
), bought AS (
    UPDATE purchases p SET user_id = CAST(:pseudonym AS text), claimed_user_id = CAST(:pseudonym AS text),
        client_reference_id = NULL,
        metadata = jsonb_strip_nulls(jsonb_build_object('project_id', p.metadata->'project_id'))
    WHERE p.id IN (SELECT purchase_id FROM purchase_lines WHERE user_ref = :ref) RETURNING p.id
), grants AS (
    UPDATE manual_grants SET reason = 'erased', idempotency_key = NULL,
        revoke_reason = CASE WHEN revoke_reason IS NULL THEN NULL ELSE 'erased' END
    WHERE user_ref = :ref RETURNING id
), customers AS (
    UPDATE stripe_customers SET user_id = :pseudonym WHERE user_ref = :ref RETURNING id
), unsaid AS (
    DELETE FROM customer_names WHERE customer_id IN (SELECT id FROM customers) AND said_by <> 'operator'
), said AS (
    INSERT INTO customer_names (customer_id, said_by, rank, user_id, project)
    SELECT id, 'operator', 1, CAST(:pseudonym AS text), CAST(:project AS text) FROM customers
    ON CONFLICT (customer_id, said_by) DO UPDATE SET rank = 1, user_id = EXCLUDED.user_id, project = EXCLUDED.project
), checkouts AS (
    DELETE FROM checkout_requests WHERE user_ref = :ref
), closed AS (
    INSERT INTO stripe_objects (id, event_created, fetched_at)
    SELECT id, CAST(:closed AS timestamptz), CAST(:closed AS timestamptz)
    FROM unnest(CAST(:objects AS text[])) AS o(id)
    ON CONFLICT (id) DO UPDATE SET event_created = EXCLUDED.event_created, fetched_at = EXCLUDED.fetched_at
)
SELECT (SELECT count(*) FROM subs) AS subscriptions, (SELECT count(*) FROM bought) AS purchases,
    (SELECT count(*) FROM grants) AS grants, (SELECT count(*) FROM customers) AS customers,
    (SELECT count(*) FROM history) AS history
""")

# Only where a user is named: the same word may be a status, or a feature, elsewhere.
_RENAME_AUDIT: Final = text("""
UPDATE audit_log SET reason = NULL, subject = CASE WHEN subject = :subject THEN :new_subject ELSE subject END,
    before = replace(before::text, :named, :new_named)::jsonb, after = replace(after::text, :named, :new_named)::jsonb
WHERE subject = :subject OR position(:named IN before::text) > 0 OR position(:named IN after::text) > 0
""")

_RENAME_FINDINGS: Final = text("""
UPDATE reconcile_findings SET detail = CASE WHEN object_id = ANY(CAST(:objects AS text[]))
    THEN replace(replace(detail::text, :quoted, :new), :tail, :new_tail)::jsonb
    ELSE replace(detail::text, :tail, :new_tail)::jsonb END
WHERE object_id = ANY(CAST(:objects AS text[])) OR position(:tail IN detail::text) > 0
""")

_DROP_REPLIES: Final = text(
    "DELETE FROM idempotent_requests WHERE status IS NOT NULL AND position(:needle IN body) > 0"
)

_FORGET_NAMES: Final = text("""
UPDATE documents d SET user_id = u.user_id FROM users u
WHERE u.id = d.user_ref AND u.erased_at < now() - make_interval(secs => :seconds) AND u.project_id = :project_id
    AND d.user_id <> u.user_id
""")
