"""What the sandbox sells: two apps, each a project with features of its own and products that grant them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Product:
    """A Stripe product with one price. `interval` None: bought once. `grants`: feature code to value."""

    id: str
    name: str
    cents: int
    interval: str | None
    grants: Mapping[str, Any]

    @property
    def lookup_key(self) -> str:
        """By which its price is found again."""
        return f"{self.id}-standard"


@dataclass(frozen=True, slots=True)
class App:
    """One app: its project, its features as the catalogue takes them, its products."""

    project: str
    name: str
    features: Mapping[str, Mapping[str, Any]]
    subscription: Product
    purchase: Product

    @property
    def products(self) -> tuple[Product, Product]:
        """Everything that it sells."""
        return self.subscription, self.purchase


NOTES: Final = App(
    project="notes",
    name="Notes",
    features={
        "export": {"kind": "plain", "name": "Export to PDF"},
        "documents": {"kind": "limit", "name": "Documents", "default": 3},
        "themes": {"kind": "plain", "name": "Themes"},
    },
    subscription=Product("prod_notes_pro", "Notes Pro", 900, "month", {"export": None, "documents": 100}),
    purchase=Product("prod_notes_themes", "Notes Themes", 500, None, {"themes": None}),
)

STUDIO: Final = App(
    project="studio",
    name="Studio",
    features={
        "render": {"kind": "plain", "name": "Render in 4K"},
        "projects": {"kind": "limit", "name": "Projects", "default": 1},
        "fonts": {"kind": "plain", "name": "Fonts"},
    },
    subscription=Product("prod_studio_plus", "Studio Plus", 2900, "month", {"render": None, "projects": "unlimited"}),
    purchase=Product("prod_studio_fonts", "Studio Fonts", 1500, None, {"fonts": None}),
)

APPS: Final = (NOTES, STUDIO)
