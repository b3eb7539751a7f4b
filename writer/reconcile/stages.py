"""What a run goes through, in order: what others depend on comes first."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final

from common.clock import SECOND, Instant
from writer.gateway.stripe_lists import Listing


class RunKind(StrEnum):
    """The values are `reconcile_runs.kind`."""

    RECONCILE = "reconcile"
    IMPORT = "import"
    """Of an account that existed before: everything that can grant, and nothing that is only over."""


class Stage(StrEnum):
    """The values are `reconcile_runs.stage`. Each list may be followed by what is held and was not on it."""

    PRODUCTS = "products"
    PRODUCTS_UNLISTED = "products_unlisted"
    PRICES = "prices"
    PRICES_UNLISTED = "prices_unlisted"
    CUSTOMERS = "customers"
    CUSTOMERS_UNLISTED = "customers_unlisted"
    SUBSCRIPTIONS = "subscriptions"
    SUBSCRIPTIONS_UNLISTED = "subscriptions_unlisted"
    OPEN_INVOICES = "open_invoices"
    INVOICES_UNLISTED = "invoices_unlisted"
    INVOICES = "invoices"
    SESSIONS = "sessions"
    SESSIONS_UNLISTED = "sessions_unlisted"
    REFUNDS = "refunds"
    DISPUTES = "disputes"
    OWNERS_OF_CUSTOMERS = "owners_of_customers"
    OWNERS_OF_SUBSCRIPTIONS = "owners_of_subscriptions"
    OWNERS_OF_PURCHASES = "owners_of_purchases"
    DOCUMENTS = "documents"
    """The unassigned are counted, and everybody is computed again in the background."""


_ONLY_WHOLE: Final = frozenset({Stage.CUSTOMERS, Stage.CUSTOMERS_UNLISTED})
"""Left out of a bounded run: open subscriptions bring their customers, and a customer without one grants nothing."""

_IMPORTED: Final = (
    Stage.PRODUCTS, Stage.PRICES, Stage.CUSTOMERS, Stage.SUBSCRIPTIONS, Stage.OPEN_INVOICES, Stage.SESSIONS,
    Stage.REFUNDS, Stage.DISPUTES,
)  # fmt: skip

_BACK: Final[Mapping[Listing, timedelta]] = {
    Listing.INVOICES: timedelta(days=3),
    Listing.SESSIONS: timedelta(days=3),
    Listing.REFUNDS: timedelta(days=45),
    Listing.DISPUTES: timedelta(days=200),
}
"""How much earlier something may have been created that still changed: a session is open for a day, a refund may
fail for weeks, a bank decides for months."""


_OPEN_ONLY: Final[Mapping[Stage, Listing]] = {
    Stage.PRODUCTS: Listing.ACTIVE_PRODUCTS,
    Stage.PRICES: Listing.ACTIVE_PRICES,
    Stage.SUBSCRIPTIONS: Listing.OPEN_SUBSCRIPTIONS,
}
"""What a bounded run lists instead: the rest only grows."""


def stages(kind: RunKind, *, whole: bool) -> tuple[Stage, ...]:
    """The stages of a run; `whole`: it lists everything."""
    if kind is RunKind.IMPORT:
        return _IMPORTED
    return tuple(stage for stage in Stage if whole or stage not in _ONLY_WHOLE)


def following(kind: RunKind, stage: Stage, *, whole: bool) -> Stage | None:
    """The stage after `stage`; None: that was the last."""
    order = stages(kind, whole=whole)
    behind = order[order.index(stage) + 1 :]
    return behind[0] if behind else None


def listing(stage: Stage, *, whole: bool) -> Listing | None:
    """What the stage lists; None: it looks at what is held."""
    if not whole and stage in _OPEN_ONLY:
        return _OPEN_ONLY[stage]
    return Listing(stage.value) if stage.value in set(Listing) else None


def bound(listed: Listing, since: Instant | None) -> Instant | None:
    """From when on a list is read in a run that looks at what happened `since`; None: it is read whole."""
    back = _BACK.get(listed)
    return None if since is None or back is None else Instant(since - int(back.total_seconds()) * SECOND)
