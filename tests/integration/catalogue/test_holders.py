"""How holders are found: a chunk costs its users, not the whole table."""

from sqlalchemy import text

from tests.support.holders import subscribed
from tests.support.operating import Operating
from writer.catalogue import holders
from writer.catalogue.holders import Meant


async def test_a_chunk_does_not_read_everybodys_subscriptions(side: Operating) -> None:
    """Each user is asked for by an index: with a hashed subplan every chunk would read whole tables."""
    await side.project()
    await subscribed(side, "shop", "u", 2_000, "price_1")
    parameters = {**Meant(1, ["price_1", "feature:x"]).parameters(), "cursor": 0, "window": 5_000, "chunk": 25}
    async with side.engine.connect() as connection:
        await connection.exec_driver_sql("ANALYZE")
        plan = "\n".join(row[0] for row in await connection.execute(text(f"EXPLAIN {holders._NEXT.sql}"), parameters))
    assert "hashed" not in plan, plan
    assert "ix_subscription_items_user_ref" in plan, plan


async def test_holders_of_prices_products_and_grants_are_found_in_order(side: Operating) -> None:
    """Behind the cursor, so many at a time, and nobody of another project."""
    await side.project()
    await side.project("blog")
    await subscribed(side, "shop", "a", 3, "price_1")
    await subscribed(side, "shop", "b", 2, "price_2")
    await subscribed(side, "blog", "c", 2, "price_1")
    async with side.engine.connect() as connection:
        meant = Meant(1, ["price_1"])
        assert await holders.count(connection, meant) == 3
        first = await holders.next_chunk(connection, meant, 0, 2)
        rest = await holders.next_chunk(connection, meant, first.cursor, 2)
        assert (len(first.refs), first.is_last, len(rest.refs), rest.is_last) == (2, False, 1, True)
        assert await holders.count(connection, Meant(1, ["prod_1"])) == 5
        assert await holders.count(connection, Meant(1, None)) == 5
        assert await holders.count(connection, Meant(1, ["feature:x"])) == 0
