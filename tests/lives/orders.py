"""Orders: a shop's app has the writer open a checkout, and somebody pays at Stripe, or does not."""

import asyncio
from http import HTTPStatus
from typing import Final

from tests.lives import acts
from tests.lives.account import Json
from tests.lives.compare import Difference
from tests.lives.plan import Act
from tests.lives.stripe_api import RefusedError
from tests.lives.town import Town
from tests.lives.writer_api import WriterApi

_PAID: Final = frozenset({"pay", "pay_async", "fail then pay"})

REFUSALS: Final = frozenset(
    {"unknown_price", "price_of_another_project", "price_inactive", "already_subscribed", "checkout_contended"}
)
"""Codes by which an order may be refused, as catalogues and subscriptions stand."""


async def order(town: Town, api: WriterApi, act: Act, *, disturbed: bool) -> bool:
    """Click, several times at once where the act says so, and pay; whether there is something to pay.

    `disturbed`: Stripe is away, or writers die, so that two tabs may be left open.
    """
    told = act.details
    answers = await asyncio.gather(*(_click(town, api, act, number) for number in range(told["clicks"])))
    refused = {answer["code"] for status, answer in answers if status != HTTPStatus.OK}
    if refused - REFUSALS:
        raise AssertionError(f"{act}: {answers}")
    sessions = list(dict.fromkeys(answer["session_id"] for status, answer in answers if status == HTTPStatus.OK))
    if not sessions:
        return False
    who = (told["project"], told["user"])
    if told["keys"] != "each" and len(sessions) > 1:
        town.broken_promises.append(Difference(who, "sessions of one order", 1, sessions))
    paid = await _pay(town, sessions, told["outcome"])
    if len(paid) > 1 and not disturbed and _recurs(town, paid[0]):
        town.broken_promises.append(Difference(who, "subscriptions bought in several tabs", 1, paid))
    _name(town, act, paid[0] if paid else sessions[-1])
    return True


async def _click(town: Town, api: WriterApi, act: Act, number: int) -> tuple[int, Json]:
    told = act.details
    body: Json = {
        "user_id": told["user"],
        "price_id": town.price(told["price"]),
        "quantity": told["quantity"],
        "success_url": "https://shop.example/back",
        "cancel_url": "https://shop.example/",
    }
    body |= {"trial_days": told["trial_days"]} if told.get("trial_days") else {}
    key = {"none": None, "same": f"{act.who}:{told['name']}", "each": f"{act.who}:{told['name']}:{number}"}[
        told["keys"]
    ]
    headers = {} if key is None else {"Idempotency_Key": key}
    return await api.call("POST", "checkout/create", body, project=told["project"], **headers)


async def _pay(town: Town, sessions: list[str], outcome: str) -> list[str]:
    """Do the same in every tab; where it went through."""
    done = []
    for session in sessions:
        try:
            await acts.pay(town, session, outcome)
        except RefusedError:
            continue  # it was closed when another tab was opened
        done.append(session)
    return done if outcome in _PAID else []


def _recurs(town: Town, session: str) -> bool:
    return bool(town.standin.store.get("checkout.session", session)["mode"] == "subscription")


def _name(town: Town, act: Act, session: str) -> None:
    found = town.standin.store.get("checkout.session", session)
    name = act.details["name"]
    town.ids[act.who, name] = session
    town.ids[act.who, f"{name}.customer"] = found["customer"]
    if found["subscription"]:
        town.ids[act.who, f"{name}.subscription"] = found["subscription"]
