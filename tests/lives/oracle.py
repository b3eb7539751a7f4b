"""The oracle: what every user is entitled to, told from Stripe's final objects and the catalogues alone.

It is written from the design alone, in its own words, and shares nothing with the writer. Times are Unix seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.lives.account import Account, Json
from tests.lives.oracle_catalogue import Catalogues

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
LATE_WEBHOOK: Final = 72 * HOUR
LATE_WEBHOOK_IN_TRIAL: Final = HOUR
UNPAID: Final = 30 * DAY
LONGEST_USER: Final = 255


@dataclass(frozen=True, slots=True)
class Row:
    """One source's gift of one feature, from `start` until before `end`; no `end` is for life."""

    feature: str
    source: str
    ref: str
    start: int
    end: int | None
    value: Any
    rank: int

    def holds(self, moment: int) -> bool:
        """Whether it counts at that moment."""
        return self.start <= moment and (self.end is None or moment < self.end)


Who = tuple[str, str]
"""(project, user)."""

_BY_HAND: Final = 10**9


class Oracle:
    """Everything that everybody holds."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.catalogues = Catalogues(account)
        self._session_of = {s["subscription"]: s for s in account.all("checkout.session") if s["subscription"]}
        self.rows: dict[Who, list[Row]] = defaultdict(list)
        self.subscribed: list[tuple[Who, str, str]] = []
        """Who has which price by a subscription, and its status: who, status, price."""
        for who, row in (*self._subscribed(), *self._bought(), *self._given()):
            self.rows[who].append(row)

    def _subscribed(self) -> Iterator[tuple[Who, Row]]:
        for subscription in self._account.all("subscription"):
            items = [i for i in self._account.all("subscription_item") if i["subscription"] == subscription["id"]]
            session = self._session_of.get(subscription["id"]) or {"metadata": {}, "client_reference_id": None}
            user = (
                subscription["metadata"].get("user_id")
                or (_named(session) if session.get("status") == "complete" else None)
                or self._customers_user(subscription["customer"])
            )
            whose = self._whose(subscription["metadata"], user, [item["price"] for item in items])
            for item in items:
                end = self._end(subscription, item, items)
                who = whose.get(item["price"]["id"])
                if who:
                    self.subscribed.append((who, subscription["status"], item["price"]["id"]))
                quantity = 1 if item.get("quantity") is None else item["quantity"]
                if who and end is not None and end > subscription["start_date"]:
                    yield from self._rows(
                        who, item["price"], quantity, ("subscription", subscription["id"]),
                        subscription["start_date"], end,
                    )  # fmt: skip

    def _end(self, subscription: Json, item: Json, items: list[Json]) -> int | None:
        """Until when an item counts; None where its subscription grants nothing."""
        status, ends = subscription["status"], [subscription["cancel_at"]]
        if status == "canceled":
            return _first([subscription["ended_at"], *ends])
        if status not in {"trialing", "active", "past_due"}:
            return None
        owed_since = self._owed_since(subscription) if status == "past_due" else None
        if owed_since is None:
            ends.append(item["current_period_end"] + (LATE_WEBHOOK_IN_TRIAL if status == "trialing" else LATE_WEBHOOK))
        else:
            ends.append(owed_since + UNPAID)
        if subscription["cancel_at_period_end"]:
            ends += [one["current_period_end"] for one in items]
        return _first(ends)

    def _owed_since(self, subscription: Json) -> int | None:
        owed = []
        for invoice in self._account.all("invoice"):
            details = (invoice["parent"] or {}).get("subscription_details") or {}
            if invoice["status"] == "open" and details.get("subscription") == subscription["id"]:
                finalized = invoice["status_transitions"]["finalized_at"]
                by_invoice = subscription["collection_method"] == "send_invoice"
                owed.append((invoice["due_date"] or finalized) if by_invoice else finalized)
        return _first(owed)

    def _bought(self) -> Iterator[tuple[Who, Row]]:
        for session in self._account.all("checkout.session"):
            if session["status"] != "complete" or not self._settled(session):
                continue
            lines = [line for line in self._account.lines[session["id"]] if line["price"]["type"] == "one_time"]
            intent = self._account.find("payment_intent", session["payment_intent"])
            start = (intent or session)["created"]
            user = _named(session) or self._customers_user(session["customer"])
            whose = self._whose(session["metadata"], user, [line["price"] for line in lines])
            for line in lines:
                who = whose.get(line["price"]["id"])
                if who:
                    days = self.catalogues.days(who[0], line["price"]["id"])
                    end = None if days is None else start + days * DAY
                    yield from self._rows(
                        who, line["price"], line["quantity"], ("purchase", session["id"]), start, end
                    )  # fmt: skip

    def _settled(self, session: Json) -> bool:
        free = session["payment_status"] == "no_payment_required" and session["mode"] == "payment"
        if session["payment_status"] != "paid" and not free:
            return False
        intent = session["payment_intent"] or self._invoices_intent(session["invoice"])
        if intent is None:
            return True
        refunds = [r for r in self._account.all("refund") if r["payment_intent"] == intent]
        back = sum(r["amount"] for r in refunds if r["status"] not in {"failed", "canceled"})
        lost = any(d["payment_intent"] == intent and d["status"] == "lost" for d in self._account.all("dispute"))
        return not lost and not 0 < session["amount_total"] <= back

    def _invoices_intent(self, invoice: str | None) -> str | None:
        payments = [p for p in self._account.all("invoice_payment") if invoice and p["invoice"] == invoice]
        chosen = [p for p in payments if p["status"] == "paid"] or payments
        return chosen[0]["payment"]["payment_intent"] if chosen else None

    def _given(self) -> Iterator[tuple[Who, Row]]:
        for gift in self._account.gifts:
            if gift.feature in self.catalogues.features[gift.project]:
                row = Row(gift.feature, "manual", gift.ref, gift.start, gift.end, gift.value, _BY_HAND)
                yield (gift.project, gift.user), row

    def _rows(
        self, who: Who, price: Json, quantity: int, source: tuple[str, str], start: int, end: int | None
    ) -> Iterator[tuple[Who, Row]]:
        for granted in self.catalogues.grants(who[0], price["id"], price["product"]) if quantity else ():
            times = quantity if granted.per_unit and isinstance(granted.value, int) else None
            value = granted.value if times is None else granted.value * times
            yield who, Row(granted.feature, *source, start, end, value, granted.rank)

    def _whose(self, metadata: Json, user: str | None, prices: Iterable[Json]) -> dict[str, Who]:
        """Whose each price is that was bought; empty where it is nobody's."""
        if not user or len(user) > LONGEST_USER:
            return {}
        sold = {price["id"]: self.catalogues.project_of(price["id"]) for price in prices}
        named = metadata.get("project_id")
        if named is None:
            return {price: (project, user) for price, project in sold.items() if project is not None}
        if named not in self._account.declared or any(project not in {None, named} for project in sold.values()):
            return {}
        return dict.fromkeys(sold, (named, user))

    def _is_ours(self, session: Json) -> bool:
        """Whether it sold for a project of ours: another app's names mean nothing here."""
        prices = [line["price"] for line in self._account.lines[session["id"]]]
        sold = [price for price in prices if price["type"] == "one_time"] or prices
        placed = any(self.catalogues.project_of(price["id"]) is not None for price in sold)
        return placed or session["metadata"].get("project_id") in self._account.declared

    def _customers_user(self, customer_id: str | None) -> str | None:
        """Whose customer it is: as its metadata say, else as the first of its checkouts that bears a name says."""
        customer = self._account.find("customer", customer_id) or self._account.gone.get(customer_id or "")
        metadata = customer["metadata"] if customer else {}
        if metadata.get("project_id") in self._account.declared and metadata.get("user_id"):
            return str(metadata["user_id"])
        told = [
            (session["created"], session["id"], name)
            for session in self._account.all("checkout.session")
            if customer_id and session["customer"] == customer_id and session["status"] == "complete"
            if (name := _named(session)) and len(name) <= LONGEST_USER and self._is_ours(session)
        ]
        return min(told)[2] if told else None


def _named(session: Json) -> str | None:
    found: str | None = session["metadata"].get("user_id") or session["client_reference_id"]
    return found


def _first(moments: Iterable[int | None]) -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)
