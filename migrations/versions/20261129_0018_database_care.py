"""What each index serves, indexes that nothing needs, and how tables are kept that are written to all the time."""

from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: None = None
depends_on: None = None

COMMENTS = {
    "ix_api_keys_app_id": "Keys of an app: lists, rotation, disabling",
    "uq_api_keys_hash": "Whose a key is, with every request that is not in memory; and no key twice",
    "uq_apps_project_id_name": "An app by its name; and no name twice",
    "ix_audit_log_project_id_id": "What was done in a project, newest first",
    "ix_audit_log_subject": "What was done to a user or key",
    "uq_backups_sha256": "A backup is written down once, and found again when it was verified",
    "ix_checkout_requests_user_ref_fingerprint": "An equal request of the user's: a double click gets the same session",
    "uq_checkout_requests_idempotency_key": "A request that is repeated with its key gets the same session",
    "ix_customer_names_price_ids": "Whose word counts anew when prices become a project's",
    "ix_customer_names_project": "Whose word counts anew when a project is made",
    "ix_disputes_payment_intent": "Disputes of a purchase, with every computation of its holder",
    "ix_documents_project_id_user_ref": "A project's documents in order: snapshots, refills, walks",
    "ix_entitlement_history_user_ref_recorded_at": "What a user held at a time; and which of it is old",
    "ix_entitlements_project_id_user_id": "For people who look at a user's rows with SQL",
    "ix_idempotent_requests_created_at": "Which kept answers are older than a day",
    "ix_invoices_open": "The oldest open invoice: when past-due grace began",
    "ix_invoices_subscription_id": "Invoices of a subscription: merging, erasing, figures",
    "ix_manual_grants_user_ref": "A user's grants, with every computation",
    "uq_manual_grants_idempotency_key": "A grant that is repeated with its key is made once",
    "ix_prices_product_id": "Prices of a product: an event of the product concerns them",
    "ix_prices_project_id": "A project's prices, for its catalogue",
    "uq_projects_public_id": "A project by its name; and no name twice",
    "ix_purchase_lines_price_id": "Who holds a price, when the catalogue changes",
    "ix_purchase_lines_purchase_id": "Lines of a purchase",
    "ix_purchase_lines_user_ref": "What a user bought, with every computation",
    "ix_purchases_customer_id": "A customer's purchases, when whose it is changes",
    "ix_purchases_payment_intent": "The purchase that a refund or dispute is about",
    "ix_purchases_unassigned": "What is nobody's, for operators",
    "ix_recompute_jobs_open": "Jobs that are not done",
    "ix_reconcile_runs_open": "Runs that are not done",
    "uq_reconcile_runs_night": "A night's run is begun once, whoever comes first",
    "ix_refunds_payment_intent": "Refunds of a purchase, with every computation of its holder",
    "ix_stripe_customers_user_ref": "A user's customers, also those that are not primary",
    "uq_stripe_customers_primary_user": "A user has one primary customer, also after two first purchases at once",
    "ix_subscription_history_subscription_id": "What a subscription was, newest last; and which of it is old",
    "ix_subscription_items_price_id": "Who holds a price, when the catalogue changes",
    "ix_subscription_items_subscription_id": "Items of a subscription",
    "ix_subscription_items_user_ref": "What a user subscribes to, with every computation",
    "ix_subscriptions_customer_id": "A customer's subscriptions, when whose it is changes",
    "ix_subscriptions_unassigned": "What is nobody's, for operators",
    "ix_users_erased_at": "Erased users, who stay out of lists",
    "ix_users_merged_into": "Who was merged into a user",
    "uq_users_project_id_user_id": "A user by project and id, with every request; and nobody twice",
    "ix_webhook_events_due": "Which pending events are due",
    "ix_webhook_events_object_id_created": "An object's events, newest last",
    "ix_webhook_events_parked": "Events that were given up",
    "ix_webhook_events_pending_object": "An object's pending events",
    "ix_webhook_events_received_at": "Events as they came, newest first; and which are old",
}
"""By index: the question it answers, or what it prevents. Primary keys answer for themselves."""

UNNEEDED = (
    ("ix_entitlements_project_id_feature_code", "entitlements", ["project_id", "feature_code"]),
    ("ix_reconcile_findings_object_id", "reconcile_findings", ["object_id"]),
)

# Vacuumed and analysed after one row in fifty has changed instead of one in five: of a million rows 200,000 dead ones
# would be carried along. New rows alone make it look after one in twenty, for index-only scans.
BUSY = ("documents", "entitlements", "entitlement_history", "outbox", "stripe_objects", "subscriptions",
        "subscription_items", "webhook_events")  # fmt: skip
CARE = (
    ("autovacuum_vacuum_scale_factor", "0.02"),
    ("autovacuum_analyze_scale_factor", "0.02"),
    ("autovacuum_vacuum_insert_scale_factor", "0.05"),
)
ROOM = {"documents": 80, "stripe_objects": 90, "subscriptions": 90}
"""Percent of a page that is filled at first: an update finds room beside its row and leaves the indexes alone."""

# Events are a few KiB, written once, and their rows change several times until they are done. Out of line, the payload
# is not written again with each change.
OUT_OF_LINE = "toast_tuple_target"


def upgrade() -> None:
    for name, _, _ in UNNEEDED:
        op.drop_index(name)
    for index, comment in COMMENTS.items():
        op.execute(f"COMMENT ON INDEX {index} IS '{comment.replace(chr(39), chr(39) * 2)}'")
    for table in BUSY:
        op.execute(f"ALTER TABLE {table} SET ({', '.join(f'{name} = {value}' for name, value in CARE)})")
    for table, percent in ROOM.items():
        op.execute(f"ALTER TABLE {table} SET (fillfactor = {percent})")
    op.execute(f"ALTER TABLE webhook_events SET ({OUT_OF_LINE} = 128)")


def downgrade() -> None:
    op.execute(f"ALTER TABLE webhook_events RESET ({OUT_OF_LINE})")
    for table in ROOM:
        op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    for table in BUSY:
        op.execute(f"ALTER TABLE {table} RESET ({', '.join(name for name, _ in CARE)})")
    for index in COMMENTS:
        op.execute(f"COMMENT ON INDEX {index} IS NULL")
    for name, table, columns in UNNEEDED:
        op.create_index(name, table, columns)
