"""What is known here before an import: projects and what they declare, whose customers are, what was claimed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import ProjectId, UserId
from writer.catalogue import store, tables
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.tables import Mirror, MirroredPrice, MirroredProduct
from writer.domain.catalogue import Definition
from writer.takeover.account import Account


@dataclass(frozen=True, slots=True)
class Here:
    """The database's side."""

    projects: Mapping[ProjectId, int]
    declared: Mapping[int, ProjectCatalog]
    links: Mapping[str, UserId]
    """Whose a customer is."""
    by_sessions: frozenset[str]
    """Those of them whom only their sessions name: an earlier session of the account counts more."""
    claimed: Mapping[str, str]
    """By an operator, by subscription or session."""
    named: Mapping[str, str]
    """By the session that made it, by subscription."""

    def name_of(self, project: int) -> ProjectId:
        """A project's public id."""
        return next(name for name, one in self.projects.items() if one == project)


async def read(connection: AsyncConnection) -> Here:
    """What is known now."""
    projects = {ProjectId(row.public_id): row.id for row in await connection.execute(_PROJECTS)}
    links = (await connection.execute(_LINKS)).all()
    bought = (await connection.execute(_BOUGHT)).all()
    return Here(
        projects=projects,
        declared={one: await tables.declared(connection, one) for one in projects.values()},
        links={row.id: UserId(row.user_id) for row in links},
        by_sessions=frozenset(row.id for row in links if row.by_sessions),
        claimed={row.id: row.claimed_user_id for row in bought if row.claimed_user_id is not None},
        named={row.id: row.session_user_id for row in bought if row.session_user_id is not None},
    )


def places(here: Here, account: Account) -> dict[str, int]:
    """Each price's project, as the mirror decides: its own metadata, its product's, the catalogue that names it."""
    targets: dict[str, int] = {}
    for project, declared in sorted(here.declared.items()):
        for plan in declared.plans.values():
            targets.setdefault(plan.target, project)
    placed: dict[str, int] = {}
    for price_id, price in account.prices.items():
        product = account.products.get(price.product_id)
        named = price.metadata.get("project_id") or (product.metadata.get("project_id") if product else None)
        declared_in = targets.get(price_id, targets.get(price.product_id))
        place = here.projects.get(ProjectId(named)) if named else declared_in
        if place is not None:
            placed[price_id] = place
    return placed


def definitions(here: Here, account: Account, placed: Mapping[str, int]) -> dict[int, Definition]:
    """The catalogues as they will be with all of Stripe's prices mirrored."""
    return {project: _definition(declared, account, project, placed) for project, declared in here.declared.items()}


def _definition(declared: ProjectCatalog, account: Account, project: int, placed: Mapping[str, int]) -> Definition:
    prices, products = [], {}
    for price_id in sorted(name for name, place in placed.items() if place == project):
        price = account.prices[price_id]
        product = account.products.get(price.product_id)
        active = price.active and (product is None or product.active)
        prices.append(MirroredPrice(price_id, price.product_id, active, price.metadata))
        known = MirroredProduct(product.metadata, product.features) if product else MirroredProduct({})
        products[price.product_id] = known
    return store.build(1, declared, Mirror(prices, products))


_PROJECTS: Final = text("SELECT id, public_id FROM projects ORDER BY id")

_LINKS: Final = text("""
SELECT c.id, c.user_id, NOT EXISTS (
    SELECT FROM customer_names n WHERE n.customer_id = c.id AND (n.said_by = 'operator'
        OR n.said_by = 'metadata' AND EXISTS (SELECT FROM projects p WHERE p.public_id = n.project))) AS by_sessions
FROM stripe_customers c WHERE c.user_id IS NOT NULL
""")

_BOUGHT: Final = text("""
SELECT id, claimed_user_id, session_user_id FROM subscriptions
WHERE claimed_user_id IS NOT NULL OR session_user_id IS NOT NULL
UNION ALL SELECT id, claimed_user_id, NULL FROM purchases WHERE claimed_user_id IS NOT NULL
""")
