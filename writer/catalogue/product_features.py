"""What the features attached to a product at Stripe say of the catalogue: their lookup keys are feature codes. Pure."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from common.identifiers import FeatureCode, IdentifierError, feature_code
from writer.gateway.product_features import FIELD

_log = logging.getLogger(__name__)

_MOST: Final = 1_000
"""More than any catalogue has."""


def attached(product: Mapping[str, Any]) -> list[FeatureCode] | None:
    """The codes, sorted; None where they were not read with the product, and what was read before counts.

    What is no feature code is passed over and logged, because a word in Stripe's dashboard must not stop payments.
    An archived feature counts as long as it is attached, as it does at Stripe.
    """
    listed = product.get(FIELD)
    if not isinstance(listed, Sequence):
        return None
    return sorted(set(_codes(str(product.get("id")), listed[:_MOST])))


def _codes(product_id: str, listed: Sequence[Any]) -> Iterator[FeatureCode]:
    for one in listed:
        feature = one.get("entitlement_feature") if isinstance(one, Mapping) else None
        key = feature.get("lookup_key") if isinstance(feature, Mapping) else None
        try:
            yield feature_code(key if isinstance(key, str) else "")
        except IdentifierError as error:
            _log.warning("product feature is passed over product=%s lookup_key=%.80r: %s", product_id, key, error)
