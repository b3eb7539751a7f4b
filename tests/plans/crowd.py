"""A database as it is after two years with so many users: every table that grows, filled by Postgres itself.

One project and one user to each customer: four in five subscribe and have renewed, one in ten bought once, one in
twenty was given something by hand. Ids are as long as Stripe's. Documents are of three features; their
digests are not.
"""

from typing import Final

import psycopg

PROJECTS: Final = 20
"""The first has every other user."""

SMALL: Final = frozenset(
    {
        "alembic_version", "api_keys", "apps", "backups", "catalog_versions", "event_cursor", "features", "lineage",
        "log_levels", "plan_features", "plans", "prices", "products", "projects", "recompute_jobs", "reconcile_runs",
        "relay_leases", "retention", "stripe_pace", "stripe_slots",
    }
)  # fmt: skip
"""Tables that do not grow with users: to read one from end to end is as good as any other way."""

_PROJECT: Final = """
INSERT INTO projects (public_id, name, epoch, revision, home_oid, catalog_version, user_count)
    SELECT 'shop-' || g, 'Shop ' || g, 1760000000, 0, 'projects'::regclass, 1, {n} / {projects}
    FROM generate_series(1, {projects}) g;
INSERT INTO relay_leases (project_id) SELECT id FROM projects;
INSERT INTO catalog_versions (project_id, version, epoch, revision, definition, actor)
    SELECT id, 1, epoch, 1, '{{"version": 1, "features": {{}}, "plans": [], "prices": {{}}}}', 'crowd' FROM projects;
INSERT INTO apps (project_id, name) SELECT id, 'web' FROM projects;
INSERT INTO api_keys (app_id, prefix, hash) SELECT id, 'bk_' || id, sha256(id::text::bytea) FROM apps;
INSERT INTO products (id, name, active, livemode, project_id)
    SELECT 'prod_' || lpad(g::text, 14, '0'), 'Product ' || g, true, true, p.id
    FROM generate_series(1, 200) g JOIN projects p ON p.public_id = 'shop-' || 1 + g % {projects};
INSERT INTO prices (id, product_id, type, active, livemode, currency, unit_amount, interval, interval_count, project_id)
    SELECT 'price_' || lpad(g::text, 24, '0'), 'prod_' || lpad((1 + g / 3)::text, 14, '0'), 'recurring', true, true,
        'usd', 1000, 'month', 1, p.id
    FROM generate_series(1, 500) g JOIN projects p ON p.public_id = 'shop-' || 1 + g % {projects};
"""

_PEOPLE: Final = """
INSERT INTO users (project_id, user_id) SELECT p.id, 'user_' || lpad(g::text, 12, '0')
    FROM generate_series(1, {n}) g
    JOIN projects p ON p.public_id = 'shop-' || CASE WHEN g % 2 = 0 THEN 1 ELSE 1 + g / 2 % {projects} END;
INSERT INTO stripe_customers (id, user_id, user_ref, is_primary, livemode)
    SELECT 'cus_' || lpad(id::text, 14, '0'), user_id, id, true, true FROM users;
INSERT INTO customer_names (customer_id, said_by, rank, user_id, project)
    SELECT 'cus_' || lpad(id::text, 14, '0'), 'metadata', 0, user_id, 'shop-' || 1 + id % {projects} FROM users;
INSERT INTO manual_grants (user_ref, feature_code, valid_from, reason, actor)
    SELECT id, 'export', now() - interval '1 year', 'contract', 'cli:crowd' FROM users WHERE id % 20 = 0;
INSERT INTO audit_log (actor, action, project_id, subject, at)
    SELECT 'cli:crowd', 'grant.create', project_id, 'user:' || user_id, now() - random() * interval '2 years'
    FROM users WHERE id % 20 = 0;
"""

_BOUGHT: Final = """
INSERT INTO subscriptions (id, customer_id, user_id, project_id, status, started_at, cancel_at_period_end,
        collection_method, livemode)
    SELECT 'sub_' || lpad(id::text, 24, '0'), 'cus_' || lpad(id::text, 14, '0'), user_id, project_id,
        CASE WHEN id % 10 < 7 THEN 'active' WHEN id % 10 = 7 THEN 'past_due' ELSE 'canceled' END,
        now() - random() * interval '2 years', false, 'charge_automatically', true
    FROM users WHERE id % 5 < 4;
INSERT INTO subscription_items (id, subscription_id, user_ref, price_id, product_id, quantity, period_start, period_end)
    SELECT 'si_' || lpad(id::text, 14, '0'), 'sub_' || lpad(id::text, 24, '0'), id,
        'price_' || lpad((1 + id % 500)::text, 24, '0'), 'prod_' || lpad((1 + id % 200)::text, 14, '0'), 1,
        now() - interval '10 days', now() + interval '20 days'
    FROM users WHERE id % 5 < 4;
INSERT INTO invoices (id, subscription_id, customer_id, status, finalized_at, paid_at, currency, amount_due,
        amount_paid, livemode, lines)
    SELECT 'in_' || lpad((u.id * 2 + g)::text, 24, '0'), 'sub_' || lpad(u.id::text, 24, '0'),
        'cus_' || lpad(u.id::text, 14, '0'), CASE WHEN u.id % 10 = 7 AND g = 1 THEN 'open' ELSE 'paid' END,
        now() - g * interval '30 days', now() - g * interval '30 days', 'usd', 1000, 1000, true,
        '[{{"price_id": "price_000000000000000000000001", "amount": 1000, "recurring": true}}]'
    FROM users u, generate_series(1, 2) g WHERE u.id % 5 < 4;
INSERT INTO invoice_payments (payment_intent, invoice_id)
    SELECT 'pi_' || substr(id, 4), id FROM invoices WHERE status = 'paid';
INSERT INTO purchases (id, customer_id, user_id, project_id, mode, payment_status, payment_intent, amount_total,
        currency, completed_at, livemode)
    SELECT 'cs_' || lpad(id::text, 58, '0'), 'cus_' || lpad(id::text, 14, '0'), user_id, project_id, 'payment', 'paid',
        'pi_once' || lpad(id::text, 20, '0'), 2000, 'usd', now() - random() * interval '2 years', true
    FROM users WHERE id % 10 = 9;
INSERT INTO purchase_lines (id, purchase_id, user_ref, price_id, product_id, quantity, amount_total)
    SELECT 'li_' || lpad(id::text, 24, '0'), 'cs_' || lpad(id::text, 58, '0'), id,
        'price_' || lpad((1 + id % 500)::text, 24, '0'), 'prod_' || lpad((1 + id % 200)::text, 14, '0'), 1, 2000
    FROM users WHERE id % 10 = 9;
INSERT INTO refunds (id, payment_intent, amount, currency, status, created_at)
    SELECT 're_' || lpad(id::text, 24, '0'), 'pi_once' || lpad(id::text, 20, '0'), 2000, 'usd', 'succeeded', now()
    FROM users WHERE id % 100 = 9;
INSERT INTO disputes (id, payment_intent, amount, currency, status, created_at)
    SELECT 'du_' || lpad(id::text, 24, '0'), 'pi_once' || lpad(id::text, 20, '0'), 2000, 'usd', 'lost', now()
    FROM users WHERE id % 200 = 9;
INSERT INTO checkout_requests (session_id, project_id, user_ref, fingerprint, url, expires_at, created_at)
    SELECT 'cs_' || lpad(id::text, 58, '0'), project_id, id, sha256(user_id::bytea),
        'https://checkout.stripe.com/c/pay/' || id, now() - interval '100 days', now() - interval '101 days'
    FROM users WHERE id % 10 = 9;
INSERT INTO stripe_objects (id, event_created)
    SELECT id, now() FROM subscriptions UNION ALL SELECT id, now() FROM purchases
    UNION ALL SELECT id, now() FROM invoices UNION ALL SELECT id, now() FROM stripe_customers;
"""

_HELD: Final = """
INSERT INTO documents (user_ref, project_id, user_id, revision, digest, computed_at, is_empty, body)
    SELECT id, project_id, user_id, id, decode('{zeros}', 'hex'), now(), false, {body} FROM users;
INSERT INTO entitlements (user_ref, revision, position, project_id, user_id, feature_code, source, source_ref,
        valid_from, valid_to)
    SELECT u.id, u.id, g - 1, u.project_id, u.user_id, (ARRAY['pro', 'export', 'seats'])[g], 'subscription',
        'sub_' || lpad(u.id::text, 24, '0'), now() - interval '1 year', now() + interval '23 days'
    FROM users u, generate_series(1, 3) g;
INSERT INTO entitlement_history (project_id, epoch, revision, user_ref, user_id, recorded_at, catalog_version,
        cause, body)
    SELECT u.project_id, 1760000000, (g - 1) * {n} + u.id, u.id, u.user_id, now() - (3 - g) * interval '1 year', 1,
        'evt_' || lpad((g * {n} + u.id)::text, 24, '0'), {body}
    FROM users u, generate_series(1, 2) g;
INSERT INTO subscription_history (subscription_id, recorded_at, cause, state)
    SELECT id, now() - random() * interval '2 years', 'evt_x', '{{"status": "active"}}' FROM subscriptions;
UPDATE projects SET revision = 2 * {n};
INSERT INTO outbox (project_id, epoch, revision, op, user_ref, body, user_count, digest)
    SELECT p.id, p.epoch, p.revision - 10000 + g, 'user', u.id, {body}, {n}, p.digest
    FROM projects p, generate_series(1, 10000) g JOIN users u ON u.id = g WHERE p.public_id = 'shop-1';
"""

_TOLD: Final = """
INSERT INTO webhook_events (id, type, object_id, created, livemode, origin, payload, status, received_at, processed_at,
        next_attempt_at, last_error)
    SELECT 'evt_' || lpad(id::text, 24, '0'), 'customer.subscription.updated', 'sub_' || lpad(id::text, 24, '0'),
        t.at, true, 'webhook', convert_to(repeat('{{"id": "evt_", "object": "event"}}', 60), 'UTF8'),
        CASE WHEN id % 10000 = 1 THEN 'pending' WHEN id % 10000 = 2 THEN 'parked' WHEN id % 10 < 7 THEN 'applied'
            ELSE 'superseded' END,
        t.at, CASE WHEN id % 10000 = 1 THEN NULL ELSE t.at END, t.at, NULL
    FROM users, LATERAL (SELECT now() - random() * interval '120 days' AS at) t;
INSERT INTO idempotent_requests (key, fingerprint, claim, claimed_until, created_at)
    SELECT 'k' || id, sha256(id::text::bytea), 'c', now(), now() - random() * interval '1 day'
    FROM users WHERE id % 20 = 1;
INSERT INTO reconcile_runs (kind, cause, stage, created_at, finished_at)
    SELECT 'reconcile', 'nightly', 'done', now() - g * interval '1 day', now() - g * interval '1 day'
    FROM generate_series(1, 180) g;
INSERT INTO reconcile_findings (run_id, object_id, finding)
    SELECT r.id, 'sub_' || lpad(g::text, 24, '0'), 'repaired' FROM reconcile_runs r, generate_series(1, 50) g;
"""

_BODY: Final = """
    json_build_array(json_build_object('feature_code', 'pro', 'source', 'subscription', 'source_ref', 'sub_x',
        'valid_from', '2026-01-01T00:00:00Z', 'valid_to', '2026-12-25T17:20:32Z', 'value', null),
        json_build_object('feature_code', 'export', 'source', 'subscription', 'source_ref', 'sub_x',
        'valid_from', '2026-01-01T00:00:00Z', 'valid_to', '2026-12-25T17:20:32Z', 'value', null),
        json_build_object('feature_code', 'seats', 'source', 'subscription', 'source_ref', 'sub_x',
        'valid_from', '2026-01-01T00:00:00Z', 'valid_to', '2026-12-25T17:20:32Z', 'value', 5))
"""
ALL: Final = (_PROJECT, _PEOPLE, _BOUGHT, _HELD, _TOLD)


def fill(url: str, users: int) -> None:
    """Fill a migrated, empty database, and let Postgres look at it. `url`: a superuser's."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # what refers to what is known to be there
        for part in ALL:
            connection.execute(part.format(n=users, projects=PROJECTS, body=_BODY, zeros="00" * 16).encode())
        connection.execute("ANALYZE")


def as_if(superuser_url: str, times: int) -> None:
    """Let Postgres take every table that grows for so many times as large, without a row more.

    Plans are made of the number of rows; how many pages there are Postgres looks up by itself, on 15 as on 18.
    """
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE pg_class c SET reltuples = reltuples * %s WHERE relnamespace = 'public'::regnamespace"
            " AND reltuples > 0 AND (relkind = 'r' AND relname <> ALL(%s) OR relkind = 'i' AND EXISTS ("
            "SELECT FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid"
            " WHERE i.indexrelid = c.oid AND t.relname <> ALL(%s)))",
            (times, list(SMALL), list(SMALL)),
        )
