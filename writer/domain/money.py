"""Amounts as Stripe counts them: whole numbers of a currency's smallest unit."""

from typing import Final

_WITHOUT: Final = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()  # noqa: SIM905 - a list that is read often
)
"""Currencies that Stripe counts whole. It counts ISK and UGX in hundredths, although they have none."""

_THREE: Final = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

_USUAL: Final = 2


def decimals(currency: str) -> int:
    """How many decimals an amount of `currency` (ISO 4217, any case) has at Stripe."""
    code = currency.lower()
    if code in _WITHOUT:
        return 0
    return 3 if code in _THREE else _USUAL


def written(amount: int, currency: str) -> str:
    """For people: `1,234.50 USD`, `-500 JPY`."""
    places = decimals(currency)
    whole, part = divmod(abs(amount), 10**places)
    fraction = f".{part:0{places}}" if places else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{fraction} {currency.upper()}"
