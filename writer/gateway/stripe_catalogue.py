"""What is written at Stripe about prices and products: metadata keys of ours, and nothing else."""

from collections.abc import Mapping
from typing import Final

from writer.gateway.pages import Fetched, Json, Pages, escaped
from writer.gateway.rate_limit import Urgency
from writer.gateway.transport import StripeTransport

_FOLDERS: Final = {"prod_": "/v1/products", "price_": "/v1/prices"}


class StripeCatalogue:
    """Prices and products by id. Every method raises StripeUnavailableError and StripeRefusedError only."""

    def __init__(self, transport: StripeTransport, urgency: Urgency = Urgency.BACKGROUND) -> None:
        self._transport = transport
        self._urgency = urgency
        self._pages = Pages(transport, urgency)

    async def retrieve(self, target: str) -> Fetched:
        """The price or product as it is now; None where Stripe has none, `deleted` where it was deleted."""
        return await self._pages.retrieve(_path(target), {})

    async def write_metadata(self, target: str, values: Mapping[str, str | None]) -> Json:
        """Set these keys, take those away that are None; Stripe keeps all others. The object as changed."""
        metadata = {key: value or "" for key, value in values.items()}  # an empty text is how a key is taken away
        return (await self._transport.call("post", _path(target), {"metadata": metadata}, self._urgency)).body


def _path(target: str) -> str:
    kind = target[: target.index("_") + 1]
    return f"{_FOLDERS[kind]}/{escaped(target)}"
