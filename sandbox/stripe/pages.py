"""The pages a customer sees: plain HTML with nothing from outside, every value escaped."""

from html import escape
from typing import Final

from sandbox.stripe.shapes import JsonObject

STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1a1a2b;"
    "background:#fff}h1{font-size:1.4rem}table{width:100%;border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.4rem 0;border-bottom:1px solid #dde;text-align:left}td:last-child,th:last-child{text-align:right}"
    "button{font:inherit;padding:.6rem 1rem;margin:.25rem .5rem .25rem 0;border:1px solid #4038a0;border-radius:.4rem;"
    "background:#fff;color:#4038a0;cursor:pointer}button.main{background:#4038a0;color:#fff}"
    "p.error{border-left:4px solid #b3261e;padding-left:.75rem;color:#8c1d18}p.note{color:#555568}"
    "input{font:inherit;padding:.5rem;width:100%;box-sizing:border-box;border:1px solid #99a}"
    "@media(prefers-color-scheme:dark){body{background:#14141f;color:#eee}button{background:#14141f;color:#b8b2ff;"
    "border-color:#b8b2ff}button.main{background:#b8b2ff;color:#14141f}td,th{border-color:#334}p.note{color:#aab}"
    "p.error{color:#ffb4ab}input{background:#1d1d2b;color:#eee}}"
)


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f'{body}<p class="note">Stripe stand-in of the sandbox: no money moves.</p></main></body></html>'
    )


def _money(amount: int, currency: str) -> str:
    return f"{amount / 100:.2f} {escape(currency.upper())}"


def checkout(session: JsonObject, lines: list[JsonObject], error: str | None = None) -> str:
    """The page where a session is paid."""
    rows = "".join(
        f"<tr><td>{escape(line['description'])} &times; {line['quantity']}{_interval(line['price'])}</td>"
        f"<td>{_money(line['amount_total'], line['currency'])}</td></tr>"
        for line in lines
    )
    total = _money(session["amount_total"] or 0, session["currency"] or "usd")
    problem = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    known = session["customer_details"] or {}
    email = escape(known.get("email") or "", quote=True)
    return _page(
        "Checkout",
        f"{problem}<table><thead><tr><th scope=col>Item</th><th scope=col>Amount</th></tr></thead><tbody>{rows}"
        f"<tr><th scope=row>Due today</th><td><strong>{total}</strong></td></tr></tbody></table>"
        f'<form method="post"><p><label for="email">E-mail</label><input id="email" name="email" type="email" '
        f'autocomplete="email" value="{email}"></p>'
        '<button class="main" name="act" value="pay">Pay</button>'
        '<button name="act" value="fail">Fail card</button>'
        '<button name="act" value="pay_async">Pay by bank transfer</button>'
        '<button name="act" value="cancel">Cancel</button></form>',
    )


def _interval(price: JsonObject) -> str:
    recurring = price["recurring"]
    if recurring is None:
        return ""
    count = recurring["interval_count"]
    return (
        f" (every {count} {escape(recurring['interval'])}s)" if count > 1 else f" (per {escape(recurring['interval'])})"
    )


def portal(
    session: JsonObject, subscriptions: list[tuple[JsonObject, list[str], str]], error: str | None = None
) -> str:
    """The page where a customer looks after subscriptions: each with product names and its end as text."""
    problem = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    parts = "".join(_subscription(*entry) for entry in subscriptions) or "<p>No subscriptions.</p>"
    back = session["return_url"]
    link = f'<p><a href="{escape(back, quote=True)}">Return</a></p>' if back else ""
    return _page("Your subscriptions", problem + parts + link)


BUTTONS: Final = {
    "cancel_at_period_end": "Cancel at period end",
    "cancel_now": "Cancel now",
    "resume": "Do not cancel",
}


def _subscription(subscription: JsonObject, choices: list[str], text: str) -> str:
    buttons = "".join(f'<button name="choice" value="{name}">{BUTTONS[name]}</button>' for name in choices)
    name = escape(subscription["id"], quote=True)
    return (
        f'<section aria-label="Subscription {name}"><p><strong>{escape(text)}</strong><br>'
        f'{escape(subscription["status"])}</p><form method="post">'
        f'<input type="hidden" name="subscription" value="{name}">{buttons}</form></section>'
    )


def notice(title: str, text: str) -> str:
    """A page that only says something."""
    return _page(title, f"<p>{escape(text)}</p>")
