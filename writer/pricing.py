"""What a pricing page shows: the project's active prices, and what each grants."""

from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.domain.catalogue import Definition
from writer.recompute import load_definition


async def read(connection: AsyncConnection, project_id: int) -> dict[str, Any]:
    """The catalogue in force for people: amounts in the currency's smallest unit, None where a price has tiers."""
    row = (await connection.execute(_PROJECT, {"project_id": project_id})).one()
    definition = await load_definition(connection, project_id, row.catalog_version)
    names: dict[str, str | None] = {
        r.code: r.name for r in await connection.execute(_NAMES, {"project_id": project_id})
    }
    prices = (await connection.execute(_PRICES, {"project_id": project_id})).all()
    return {
        "project_id": row.public_id,
        "epoch": row.epoch,
        "revision": row.revision,
        "version": row.catalog_version,
        "features": [
            {"code": code, "name": names.get(code), "kind": feature.kind.value, "default": feature.default}
            for code, feature in sorted(definition.features.items())
        ],
        "prices": [_price(price, definition, names) for price in prices],
    }


def _price(row: Row[Any], definition: Definition, names: dict[str, str | None]) -> dict[str, Any]:
    plan = definition.plan_for(row.id, row.product_id)
    info = definition.prices.get(row.id)
    return {
        "price_id": row.id,
        "product_id": row.product_id,
        "product_name": row.product_name,
        "description": row.description,
        "type": row.type,
        "currency": row.currency,
        "unit_amount": row.unit_amount,
        "interval": row.interval,
        "interval_count": row.interval_count,
        "nickname": row.nickname,
        "lookup_key": row.lookup_key,
        "grant_days": None if info is None else info.grant_days,
        "features": [
            {
                "code": granted.feature_code,
                "name": names.get(granted.feature_code),
                "value": granted.value,
                "per_unit": granted.per_unit,
            }
            for granted in (plan.features if plan else ())
        ],
    }


_PROJECT: Final = text("SELECT public_id, epoch, revision, catalog_version FROM projects WHERE id = :project_id")

_NAMES: Final = text("SELECT code, name FROM features WHERE project_id = :project_id")

_PRICES: Final = text("""
SELECT c.id, c.product_id, coalesce(d.name, c.product_id) AS product_name, d.description, c.type, c.currency,
    c.unit_amount, c.interval, c.interval_count, c.nickname, c.lookup_key
FROM prices c LEFT JOIN products d ON d.id = c.product_id
WHERE c.project_id = :project_id AND c.active AND coalesce(d.active, true)
ORDER BY c.product_id, c.unit_amount NULLS LAST, c.id
""")
