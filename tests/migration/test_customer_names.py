"""Whose customers were before all that says so was kept, they are afterwards, and when that is taken back."""

import psycopg

from tests.migration.test_schema import alembic, rows

_BEFORE = """
INSERT INTO projects (public_id, name, epoch, home_oid) VALUES ('shop', 'Shop', 1, 'projects'::regclass);
INSERT INTO users (project_id, user_id) SELECT p.id, u FROM projects p, unnest(ARRAY['ada', 'bob', 'eve']) u;
INSERT INTO products (id, name, active, livemode, project_id)
SELECT 'prod_1', 'Pro', true, false, id FROM projects;
INSERT INTO prices (id, product_id, type, active, livemode, currency, project_id)
SELECT 'price_1', 'prod_1', 'one_time', true, false, 'usd', id FROM projects;
INSERT INTO stripe_customers (id, user_ref, named_user_id, claimed_user_id, session_user_id, session_created,
    session_id, livemode)
VALUES
    ('cus_named', (SELECT id FROM users WHERE user_id = 'ada'), 'ada', NULL, 'bob', '2026-01-01Z', 'cs_1', false),
    ('cus_claimed', (SELECT id FROM users WHERE user_id = 'bob'), NULL, 'bob', NULL, NULL, NULL, false),
    ('cus_sold', NULL, NULL, NULL, 'eve', '2026-01-01Z', 'cs_2', false),
    ('cus_nobodys', NULL, NULL, NULL, NULL, NULL, NULL, false);
INSERT INTO purchases (id, customer_id, mode, payment_status, amount_total, currency, completed_at, livemode)
SELECT 'cs_2', 'cus_sold', 'payment', 'paid', 1, 'usd', now(), false;
INSERT INTO purchase_lines (id, purchase_id, price_id, product_id, quantity, amount_total)
VALUES ('li_1', 'cs_2', 'price_1', 'prod_1', 1, 1);
"""

_USERS = "SELECT id, user_id FROM stripe_customers ORDER BY id"


def test_whose_customers_are_outlasts_the_step_and_the_way_back(empty_database_url: str) -> None:
    """Each word is kept with its rank and what it was about; whose each customer is stays the same both ways."""
    assert alembic(empty_database_url, "upgrade", "0012").returncode == 0
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(_BEFORE)
    whose = rows(empty_database_url, _USERS)
    assert whose == [("cus_claimed", "bob"), ("cus_named", "ada"), ("cus_nobodys", None), ("cus_sold", "eve")]
    assert alembic(empty_database_url, "upgrade", "0013").returncode == 0
    assert rows(empty_database_url, _USERS) == whose
    assert rows(
        empty_database_url,
        "SELECT customer_id, said_by, rank, user_id, project, price_ids FROM customer_names ORDER BY 1, 2",
    ) == [
        ("cus_claimed", "operator", 1, "bob", "shop", []),
        ("cus_named", "cs_1", 2, "bob", None, []),
        ("cus_named", "metadata", 0, "ada", "shop", []),
        ("cus_sold", "cs_2", 2, "eve", None, ["price_1"]),
    ]
    assert alembic(empty_database_url, "downgrade", "0012").returncode == 0
    assert rows(empty_database_url, _USERS) == whose
