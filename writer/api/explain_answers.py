"""What the routes about a user's rights answer, as the document has it."""

from typing import Any

from msgspec import Struct

from writer.api.answers import Time


class HeadAnswer(Struct):
    """How far a project is."""

    epoch: int
    revision: int


class ExplainAnswer(Struct):
    """Why a user has features or not: sources, causes, what is held, what went astray, where the sidecars are."""

    project_id: str
    user_id: str
    at: Time
    past: bool
    known: bool
    catalog_version: int | None
    head: HeadAnswer | None
    document: dict[str, Any] | None
    customers: list[Any]
    features: list[dict[str, Any]]
    holdings: list[dict[str, Any]]
    events: list[dict[str, Any]]
    sidecars: dict[str, Any] | None
    limits: list[str]


class DifferenceAnswer(Struct):
    """A feature before and after the act, each as a check answers it at the moment when the act takes effect."""

    feature: str
    change: str | None
    before: dict[str, Any]
    after: dict[str, Any]


class PreviewAnswer(Struct):
    """What a user would hold after an act."""

    project_id: str
    user_id: str
    takes_effect_at: Time
    before: list[dict[str, Any]]
    after: list[dict[str, Any]]
    features: list[DifferenceAnswer]
    notes: list[str]
