"""The oracle's reading of a catalogue: whose a price is, which features a project has, and what a price grants.

It is written from the design alone and shares nothing with the writer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.lives.account import Account, Json

_KEY: Final = "feature_codes"


@dataclass(frozen=True, slots=True)
class Granted:
    """One feature of what a price grants."""

    feature: str
    value: Any
    per_unit: bool
    rank: int


@dataclass(frozen=True, slots=True)
class Feature:
    """What a project says of a feature."""

    kind: str
    combine: str = "max"
    default: Any = None


class Catalogues:
    """All projects' catalogues, as Stripe's metadata and the declarations make them."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._project_of = {price["id"]: self._placed(price) for price in account.all("price")}
        self._texts = {project: self._texts_of(project) for project in account.declared}
        self.features = {project: self._features_of(project) for project in account.declared}

    def project_of(self, price_id: str) -> str | None:
        """The project that sells a price."""
        return self._project_of.get(price_id)

    def grants(self, project: str, price_id: str, product_id: str) -> list[Granted]:
        """What a project gives for a price: what it declared, else Stripe's words; the price before its product."""
        plans = self._account.declared[project].get("plans", {})
        for target in (price_id, product_id):
            if target in plans:
                return self._of_plan(project, plans[target])
        for target in (price_id, product_id):
            if target in self._texts[project]:
                return self._of_text(project, self._texts[project][target])
        return []

    def days(self, project: str, price_id: str) -> int | None:
        """For how many days a purchase of the price lasts; None is for life."""
        price = self._account.find("price", price_id)
        if price is None or self._project_of[price_id] != project:
            return None
        product = self._account.find("product", price["product"]) or {"metadata": {}}
        word = price["metadata"].get("grant_days") or product["metadata"].get("grant_days")
        return int(word) if word else None

    def _placed(self, price: Json) -> str | None:
        product = self._account.find("product", price["product"]) or {"metadata": {}}
        named = price["metadata"].get("project_id") or product["metadata"].get("project_id")
        if named:
            return named if named in self._account.declared else None
        for target in (price["id"], price["product"]):
            for project, body in self._account.declared.items():
                if target in body.get("plans", {}):
                    return project
        return None

    def _texts_of(self, project: str) -> dict[str, str]:
        texts: dict[str, str] = {}
        for price in self._account.all("price"):
            if self._project_of[price["id"]] == project:
                product = self._account.find("product", price["product"]) or {"metadata": {}}
                for target, metadata in ((price["id"], price["metadata"]), (price["product"], product["metadata"])):
                    if _KEY in metadata:
                        texts[target] = metadata[_KEY]
        return texts

    def _features_of(self, project: str) -> dict[str, Feature]:
        declared = {
            code: Feature(row.get("kind", "plain"), row.get("combine", "max"), row.get("default"))
            for code, row in self._account.declared[project].get("features", {}).items()
        }
        mentioned: dict[str, bool] = {}
        for text in self._texts[project].values():
            for code, value in _mentions(text).items():
                mentioned[code] = mentioned.get(code, False) or value is not None
        brought = {code: Feature("limit" if has_value else "plain") for code, has_value in mentioned.items()}
        return {**brought, **declared}

    def _of_plan(self, project: str, plan: Mapping[str, Any]) -> list[Granted]:
        listed = plan.get("features", {})
        rows = dict.fromkeys(listed, True) if isinstance(listed, list) else listed
        found = []
        for code, row in rows.items():
            value, per_unit = (row.get("value"), row.get("per_unit", False)) if isinstance(row, dict) else (row, False)
            plain = self.features[project][code].kind == "plain"
            found.append(Granted(code, None if plain else value, per_unit, plan.get("rank", 0)))
        return found

    def _of_text(self, project: str, text: str) -> list[Granted]:
        found = []
        for code, value in _mentions(text).items():
            kind = self.features[project][code].kind
            if kind == "plain":
                found.append(Granted(code, None, per_unit=False, rank=0))
            elif kind == "limit" and value is not None:
                found.append(Granted(code, value, per_unit=False, rank=0))
        return found


def _mentions(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in text.split(","):
        code, _, word = (piece.strip() for piece in part.partition("="))
        if code and code not in found:
            found[code] = None if not word else word if word == "unlimited" else int(word)
    return found
