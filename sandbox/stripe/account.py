"""The account itself and its balance."""

from collections import Counter

from sandbox.stripe.ledger import Ledger
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject

ACCOUNT_ID = "acct_1SandboxSandbox"


def _account(_: Ledger, __: Call) -> JsonObject:
    return {
        "id": ACCOUNT_ID,
        "object": "account",
        "business_profile": None,
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def _balance(ledger: Ledger, _: Call) -> JsonObject:
    sums: Counter[str] = Counter({"usd": 0})
    for charge in ledger.store.where("charge", paid=True):
        sums[charge["currency"]] += charge["amount"] - charge["amount_refunded"]
    available = [
        {"amount": amount, "currency": name, "source_types": {"card": amount}} for name, amount in sums.items()
    ]
    pending = [{"amount": 0, "currency": name, "source_types": {"card": 0}} for name in sums]
    return {
        "object": "balance",
        "available": available,
        "livemode": ledger.settings.livemode,
        "pending": pending,
    }


ROUTES: Routes = (
    ("GET", "/v1/account", _account),
    ("GET", "/v1/accounts/{id}", _account),
    ("GET", "/v1/balance", _balance),
)
