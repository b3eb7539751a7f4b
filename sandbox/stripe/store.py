"""Everything the server knows, as plain JSON: objects by kind, and what Stripe keeps to itself."""

import hashlib
import secrets
from collections.abc import Iterable
from typing import Any, Final

from sandbox.stripe.errors import missing
from sandbox.stripe.shapes import JsonObject

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH: Final = 24


class Store:
    """Objects by kind and id, in order of creation, always in today's shape and with ids for references.

    `notes` holds what no client sees, by topic and id: the lines of a session, how a card behaves, deliveries.
    """

    def __init__(self, seed: str | None = None) -> None:
        self.seed = seed or secrets.token_hex(8)
        self._repeatable = seed is not None
        self.tables: dict[str, dict[str, JsonObject]] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        self.drawn = 0
        self.changes = 0
        self.touched: set[tuple[str, str]] = set()

    def new_id(self, prefix: str, length: int = ID_LENGTH) -> str:
        """The next id, such as `cus_4fX…`; the same ones in the same order for the same seed."""
        self.drawn += 1
        number = int.from_bytes(hashlib.sha512(f"{self.seed}:{self.drawn}".encode()).digest())
        letters = []
        for _ in range(length):
            number, digit = divmod(number, len(ALPHABET))
            letters.append(ALPHABET[digit])
        return f"{prefix}_{''.join(letters)}"

    def put(self, item: JsonObject) -> JsonObject:
        """Hold `item` under its kind and id."""
        self.tables.setdefault(item["object"], {})[item["id"]] = item
        self.changes += 1
        self.touched.add((item["object"], item["id"]))
        return item

    def find(self, kind: str, object_id: str | None) -> JsonObject | None:
        """The object, or None."""
        return self.tables.get(kind, {}).get(object_id or "")

    def get(self, kind: str, object_id: str, param: str = "id") -> JsonObject:
        """The object.

        Raises:
            StripeError: there is none; 404 when the path named it, else 400 for `param`.
        """
        item = self.find(kind, object_id)
        if item is None:
            raise missing(kind, object_id, param, status=404 if param == "id" else 400)
        return item

    def remove(self, kind: str, object_id: str) -> None:
        """Forget the object."""
        self.tables.get(kind, {}).pop(object_id, None)
        self.changes += 1

    def all(self, kind: str) -> Iterable[JsonObject]:
        """Every object of a kind, oldest first."""
        return list(self.tables.get(kind, {}).values())

    def where(self, kind: str, **fields: Any) -> list[JsonObject]:
        """Objects of a kind whose fields equal `fields`, oldest first."""
        wanted = fields.items()
        return [item for item in self.all(kind) if all(item.get(name) == value for name, value in wanted)]

    def note(self, topic: str) -> dict[str, Any]:
        """What is kept beside the objects, by id."""
        return self.notes.setdefault(topic, {})

    def dump(self) -> JsonObject:
        """All of it, for a state file and for oracles."""
        return {"seed": self.seed, "drawn": self.drawn, "tables": self.tables, "notes": self.notes}

    def load(self, state: JsonObject) -> None:
        """Take back what `dump` gave."""
        if self._repeatable:
            # Else ids begin anew: those given out after the last save, before a crash, must not come again.
            self.seed, self.drawn = state["seed"], state["drawn"]
        self.tables, self.notes = state["tables"], state["notes"]
        items = self.tables.get("subscription_item", {})
        for name, kept in self.note("items_of").items():
            # An item is one object wherever it is shown.
            self.notes["items_of"][name] = [items[item["id"]] for item in kept]
            shown = self.tables["subscription"][name]["items"]
            shown["data"] = [items[item["id"]] for item in shown["data"]]
        self.touched = {(kind, object_id) for kind, table in self.tables.items() for object_id in table}
