"""The features that are attached to a product at Stripe: a list of their own, which no product or event carries."""

import logging
from typing import Final

from writer.gateway.errors import KeyRefusedError, StripeMissingError, StripeRefusedError
from writer.gateway.pages import Json, Pages, escaped

_log = logging.getLogger(__name__)

FIELD: Final = "product_features"
"""Where a product holds them once they were read: Stripe's `product_feature` objects. Absent: they are not known.

No name of Stripe's own: older API versions have `features` on a product, which are words for a pricing table.
"""


class ProductFeatures:
    """Reads them, one request a product. Raises StripeUnavailableError only."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._told = False

    async def fill(self, product: Json) -> None:
        """Put a product's features into it; nothing is put there where Stripe does not tell them.

        A key without that permission, or an account without them, is no reason to do without prices and products.
        """
        if product.get("deleted"):
            return
        try:
            listed = await self._pages.whole(f"/v1/products/{escaped(product['id'])}/features", {})
        except StripeMissingError:
            return  # deleted since; its event says so
        except KeyRefusedError as error:
            if not error.forbidden:
                raise
            self._warn("give the restricted key Read on Entitlements, and on Products")
        except StripeRefusedError as error:
            self._warn(str(error))
        else:
            product[FIELD] = (listed.object or {}).get("data", [])

    def _warn(self, reason: str) -> None:
        level = logging.DEBUG if self._told else logging.WARNING
        self._told = True
        _log.log(level, "features of products cannot be read at Stripe; what was read before stays: %s", reason)
