"""Users with many subscriptions or purchases, written as the mirror holds them."""

from tests.support.operating import Operating


async def subscribed(side: Operating, project: str, prefix: str, count: int, *price_ids: str) -> None:
    """`count` users, each with an active subscription that has an item for each price (of product prod_1)."""
    await side.rows(
        """WITH u AS (INSERT INTO users (project_id, user_id)
               SELECT p.id, :prefix || n FROM projects p, generate_series(1, :count) n WHERE p.public_id = :project
               RETURNING id, user_id),
           s AS (INSERT INTO subscriptions (id, customer_id, user_id, status, started_at, cancel_at_period_end,
                   collection_method, livemode, metadata)
               SELECT 'sub_' || user_id, 'cus_' || user_id, user_id, 'active', now() - interval '1 day', false,
                   'charge_automatically', false, jsonb_build_object('user_id', user_id) FROM u RETURNING id)
           INSERT INTO subscription_items (id, subscription_id, user_ref, price_id, product_id, quantity, period_start,
               period_end)
           SELECT 'si_' || user_id || '_' || p.price, 'sub_' || user_id, id, p.price, 'prod_1', 1, now(),
               now() + interval '30 days'
           FROM u CROSS JOIN unnest(CAST(:prices AS text[])) AS p(price) RETURNING 1""",
        project=project, prefix=prefix, count=count, prices=list(price_ids),
    )  # fmt: skip


async def bought(side: Operating, project: str, user: str, count: int, price_id: str) -> None:
    """A user with `count` paid one-time purchases of the price (of product prod_1), a minute apart."""
    await side.rows(
        """WITH u AS (INSERT INTO users (project_id, user_id) SELECT id, :user FROM projects WHERE public_id = :project
               ON CONFLICT (project_id, user_id) DO UPDATE SET user_id = excluded.user_id RETURNING id),
           p AS (INSERT INTO purchases (id, user_id, mode, payment_status, amount_total, currency, completed_at,
                   livemode)
               SELECT 'cs_' || :user || n, :user, 'payment', 'paid', 100, 'eur', now() - n * interval '1 minute', false
               FROM generate_series(1, :count) n RETURNING id)
           INSERT INTO purchase_lines (id, purchase_id, user_ref, price_id, product_id, quantity, amount_total)
           SELECT 'li_' || p.id, p.id, u.id, :price, 'prod_1', 1, 100 FROM p, u RETURNING 1""",
        project=project, user=user, count=count, price=price_id,
    )  # fmt: skip
