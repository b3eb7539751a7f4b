"""What a user has, or might have been thought to have, each as it was at a moment: ready to be judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from common.clock import Instant, format_time, parse_time
from common.document import Source
from common.identifiers import FeatureCode
from writer.domain import fate
from writer.domain.catalogue import Definition
from writer.domain.fate import Fate, Rules, Verdict
from writer.domain.sources import GrantSource, Item, PurchaseSource, SubscriptionSource, SubscriptionStatus
from writer.explain.facts import Facts, Json

_NOT_MADE: Final = ("failed", "canceled")
"""Refunds in these states count as not made."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One source. `obstacle`: why it grants nothing before any rule is asked."""

    source: SubscriptionSource | PurchaseSource | GrantSource
    about: Json
    """What people want to know of it, as JSON in the public shape."""
    items: tuple[Item, ...] = ()
    obstacle: Verdict | None = None
    customer: str | None = None

    @property
    def kind(self) -> Source:
        """As in a document."""
        if isinstance(self.source, SubscriptionSource):
            return Source.SUBSCRIPTION
        return Source.PURCHASE if isinstance(self.source, PurchaseSource) else Source.MANUAL

    @property
    def since(self) -> Instant:
        """When it was begun, bought or given."""
        match self.source:
            case SubscriptionSource(started_at=since) | PurchaseSource(completed_at=since):
                return since
            case GrantSource(valid_from=since):
                return since

    @property
    def feature(self) -> FeatureCode | None:
        """The one that a grant gives; None: it depends on the catalogue."""
        return self.source.feature_code if isinstance(self.source, GrantSource) else None

    def verdict(self, feature: FeatureCode, rules: Rules) -> Verdict:
        """Whether it gives the feature, and if not, why."""
        if self.obstacle is not None:
            return self.obstacle
        match self.source:
            case SubscriptionSource() as subscription:
                return fate.of_subscription(subscription, feature, rules)
            case PurchaseSource() as purchase:
                return fate.of_purchase(purchase, feature, rules)
            case GrantSource() as grant:
                return fate.of_grant(grant, feature, rules)

    def concerns(self, feature: FeatureCode, definition: Definition) -> bool:
        """Whether it gives the feature by the catalogue, or nobody can say what it gives."""
        if isinstance(self.source, GrantSource):
            return self.source.feature_code == feature
        unplaced = self.obstacle is not None and self.obstacle.fate is Fate.NOT_PLACED
        unknown = any(definition.plan_for(item.price_id, item.product_id) is None for item in self.items)
        return unplaced or unknown or fate.gives(self.items, feature, definition)


def of(facts: Facts, moment: Instant, *, past: bool) -> list[Holding]:
    """What there was at a moment; `past`: what was told later is left out, as far as it is known when it was told."""
    subscriptions = (_subscription(row, moment, past=past) for row in facts.subscriptions)
    purchases = (_purchase(row, moment, past=past) for row in facts.purchases)
    grants = (_grant(row, moment) for row in facts.grants if row["created_at"] <= moment or not past)
    return [one for one in (*subscriptions, *purchases, *grants) if one is not None]


def _subscription(row: Json, moment: Instant, *, past: bool) -> Holding | None:
    if past and row["started_at"] > moment:
        return None
    states = [one for one in row["states"] if one["recorded_at"] <= moment]
    then = states[-1]["state"] if past and states else None
    facts = row if then is None else {**row, **_state(then)}
    items = [{**one, "mine": True} for one in facts["items"]] if then is not None else row["items"]
    mine = tuple(_item(one) for one in items if one["mine"])
    ends = [one["period_end"] for one in items]
    source = SubscriptionSource(
        id=row["id"],
        status=SubscriptionStatus(facts["status"]),
        started_at=Instant(row["started_at"]),
        items=mine,
        cancel_at=facts["cancel_at"],
        cancel_at_period_end=facts["cancel_at_period_end"],
        first_period_end=min(ends, default=None),
        ended_at=facts["ended_at"],
        unpaid_since=_unpaid_since(row, moment, past=past),
    )
    times = ("started_at", "trial_end", "cancel_at", "canceled_at", "ended_at")
    about = {
        **{name: facts[name] for name in ("customer_id", "status", "cancel_at_period_end")},
        **{name: _time(facts[name]) for name in times},
        "collection_paused": row["collection_paused"],
        "items": [{**_sold(one), "period_end": _time(one["period_end"])} for one in items],
        "invoices": [_timed(one, "finalized_at", "due_date", "paid_at") for one in row["invoices"]],
        "kept_since": _time(row["states"][0]["recorded_at"]) if row["states"] else None,
        "as_of": _time(states[-1]["recorded_at"]) if then is not None else None,
    }
    whole = tuple(map(_item, items))
    return Holding(source, about, whole, None if mine else _nobodys(row), row["customer_id"])


def _state(then: Mapping[str, Any]) -> Json:
    """A row of the history in the shape of the facts."""
    ends = {name: _instant(then[name]) for name in ("trial_end", "cancel_at", "ended_at")}
    unnamed = {"price_name": None, "product_name": None, "price_project": None}
    items = [{**unnamed, **one, "period_end": _instant(one["period_end"])} for one in then["items"]]
    return {"status": then["status"], "cancel_at_period_end": then["cancel_at_period_end"], **ends, "items": items}


def _unpaid_since(row: Json, moment: Instant, *, past: bool) -> Instant | None:
    def is_open(invoice: Json) -> bool:
        if not past:
            return bool(invoice["status"] == "open")
        paid, began = invoice["paid_at"], invoice["finalized_at"]
        return began is not None and began <= moment and (invoice["status"] == "open" or (paid or 0) > moment)

    sent = row["collection_method"] == "send_invoice"
    since = [
        (one["due_date"] or one["finalized_at"]) if sent else one["finalized_at"]
        for one in row["invoices"]
        if is_open(one)
    ]
    return min((one for one in since if one is not None), default=None)


def _purchase(row: Json, moment: Instant, *, past: bool) -> Holding | None:
    if past and row["completed_at"] > moment:
        return None
    refunds = [one for one in row["refunds"] if one["created_at"] <= moment or not past]
    disputes = [one for one in row["disputes"] if one["created_at"] <= moment or not past]
    lines = tuple(_item(one) for one in row["items"] if one["mine"])
    source = PurchaseSource(
        id=row["id"],
        settled=row["payment_status"] == "paid"
        or (row["payment_status"] == "no_payment_required" and row["mode"] == "payment"),
        completed_at=Instant(row["completed_at"]),
        amount=row["amount_total"],
        refunded=sum(one["amount"] for one in refunds if one["status"] not in _NOT_MADE),
        dispute_lost=any(one["status"] == "lost" for one in disputes),
        lines=lines,
    )
    about = {
        **{name: row[name] for name in ("customer_id", "mode", "payment_status", "payment_intent", "invoice_id")},
        **{name: row[name] for name in ("amount_total", "currency")},
        "completed_at": _time(row["completed_at"]),
        "items": [{**_sold(one), "amount_total": one["amount_total"]} for one in row["items"]],
        "refunds": [_timed(one, "created_at") for one in refunds],
        "disputes": [_timed(one, "created_at") for one in disputes],
    }
    return Holding(source, about, tuple(map(_item, row["items"])), None if lines else _nobodys(row), row["customer_id"])


def _grant(row: Json, moment: Instant) -> Holding:
    source = GrantSource(
        row["id"], FeatureCode(row["feature_code"]), row["value"], Instant(row["valid_from"]), row["valid_to"]
    )
    names = ("reason", "actor", "revoked_by", "revoke_reason")
    about = {**{name: row[name] for name in names}, "value": row["value"]}
    about |= {name: _time(row[name]) for name in ("created_at", "valid_from", "valid_to", "revoked_at")}
    revoked = row["revoked_at"]
    if revoked is None or revoked > moment:
        return Holding(source, about)
    words = f"{row['revoked_by']} took it back {format_time(revoked)}: {row['revoke_reason']}"
    return Holding(source, about, obstacle=Verdict(Fate.REVOKED, words))


def _nobodys(row: Json) -> Verdict:
    """Why none of it is the user's."""
    if row["unassigned_reason"] is not None:
        return Verdict(Fate.UNASSIGNED, f"it is nobody's: {row['unassigned_reason']}")
    owners = sorted({f"{one['owner']} in {one['owner_project']}" for one in row["items"] if one["owner"] is not None})
    if owners:
        return Verdict(Fate.ANOTHERS, f"it is {', '.join(owners)}'s now")
    prices = ", ".join(one["price_id"] for one in row["items"])
    return Verdict(Fate.NOT_PLACED, f"{prices} belongs to no project")


def _item(row: Json) -> Item:
    return Item(row["price_id"], row["product_id"], row["quantity"], row.get("period_end"))


def _sold(row: Json) -> Json:
    names = ("price_id", "price_name", "product_id", "product_name", "quantity", "price_project")
    return {name: row[name] for name in names}


def _timed(row: Json, *times: str) -> Json:
    return {name: _time(value) if name in times else value for name, value in row.items()}


def _time(moment: int | None) -> str | None:
    return None if moment is None else format_time(Instant(moment))


def _instant(moment: str | None) -> Instant | None:
    return None if moment is None else parse_time(moment)
