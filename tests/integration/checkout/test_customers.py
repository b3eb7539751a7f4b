"""The customer who pays: known in every project, whichever of them it came to first."""

from tests.support.checkout import Shop


async def test_customer_of_another_project_is_known_on_return(shop: Shop) -> None:
    """A payment link's session that names nobody is confirmed for its customer's user, who was first met elsewhere."""
    made = await shop.at_stripe("customers", {"email": "ann@example.com"})
    async with shop.engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO customer_names (customer_id, said_by, rank, user_id, project) "
            f"VALUES ('{made['id']}', 'operator', 1, 'ann', 'maps')"
        )
        await connection.exec_driver_sql(
            f"INSERT INTO stripe_customers (id, user_id, livemode) VALUES ('{made['id']}', 'ann', false)"
        )
    line = {"line_items[0][price]": shop.prices["once"], "line_items[0][quantity]": "1", "mode": "payment"}
    form = {**line, "success_url": "https://x.example", "customer": made["id"]}
    session = await shop.at_stripe("checkout/sessions", form)
    await shop.pay(session["id"])
    status, answer = await shop.post("checkout/confirm", {"session_id": session["id"]})
    assert (status, answer["user_id"]) == (200, "ann")
    assert [one["feature_code"] for one in answer["entitlements"]] == ["fonts"]
