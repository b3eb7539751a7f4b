"""Whose a subscription or a purchase is: its user, and for each line the project."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from common.identifiers import IdentifierError, UserId, user_id


class Unassigned(StrEnum):
    """Why something that is ours by price grants nothing to anybody."""

    NO_USER = "no user is known for it"
    BAD_USER = "its metadata user_id is no user id"
    UNKNOWN_PROJECT = "its metadata project_id names no project"
    CONFLICT = "its metadata project_id contradicts the project of its price"


@dataclass(frozen=True, slots=True)
class Claims:
    """Everything that says whose something is, best first."""

    metadata: Mapping[str, str]
    claimed_user_id: str | None = None
    """By an operator; it counts where the metadata names nobody."""
    client_reference_id: str | None = None
    """The session's: what the app passed to Stripe."""
    customer_user_id: UserId | None = None
    """The user whose Stripe customer it is."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows: projects by public id, and each price's project."""

    projects: Mapping[str, int]
    price_projects: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Ownership:
    """The answer. `line_projects` holds an entry for each price that is somebody's; with no user, nobody's."""

    user_id: UserId | None
    project_id: int | None
    """From the metadata; None: by each line's price."""
    line_projects: Mapping[str, int]
    unassigned: Unassigned | None
    ours: bool
    """Whether it is any of our projects', assigned or not."""

    def owner_of(self, price_id: str) -> tuple[int, UserId] | None:
        """(project, user) that a line of this price belongs to; None: it grants nothing."""
        project = self.line_projects.get(price_id)
        if project is None or self.user_id is None or self.unassigned is not None:
            return None
        return project, self.user_id


def resolve(claims: Claims, known: Known, price_ids: Collection[str]) -> Ownership:
    """Whose it is. Never by e-mail: an address is not proof of who somebody is in an app."""
    priced = {price: known.price_projects[price] for price in price_ids if price in known.price_projects}
    named = claims.metadata.get("project_id")
    project = None if named is None else known.projects.get(named)
    ours = project is not None or bool(priced)
    user, fault = _user(claims)
    if named is not None and project is None:
        fault = Unassigned.UNKNOWN_PROJECT
    elif project is not None and any(other != project for other in priced.values()):
        fault = Unassigned.CONFLICT
    lines = priced if project is None else dict.fromkeys(price_ids, project)
    return Ownership(user, project, lines, fault if ours else None, ours)


def _user(claims: Claims) -> tuple[UserId | None, Unassigned | None]:
    named = claims.metadata.get("user_id")
    for text in (named, claims.claimed_user_id, claims.client_reference_id, claims.customer_user_id):
        if text:
            try:
                return user_id(text), None
            except IdentifierError:
                return None, Unassigned.BAD_USER
    return None, Unassigned.NO_USER
