"""What a resource's handler is given, and how its routes are written down."""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.stripe.ledger import Ledger
from sandbox.stripe.params import Params
from sandbox.stripe.shapes import JsonObject


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its parameters, the ids in its path by name, and the path itself."""

    params: Params
    args: dict[str, str]
    path: str

    @property
    def id(self) -> str:
        """The object that the path names."""
        return self.args["id"]


Handler = Callable[[Ledger, Call], JsonObject]
Routes = tuple[tuple[str, str, Handler], ...]
"""Method, path pattern such as `/v1/customers/{id}`, handler."""
