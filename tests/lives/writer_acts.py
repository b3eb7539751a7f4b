"""The acts that are done at the writer: gifts by hand, declared catalogues, and the confirm of a payer who is back."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from common.clock import SECOND, Instant, format_time
from tests.lives import acts
from tests.lives.account import Gift, Json
from tests.lives.oracle import DAY
from tests.lives.plan import Act
from tests.lives.town import Town
from tests.lives.writer_api import WriterApi

_GIVES: Final = "alpha"


async def declare(town: Town, api: WriterApi, name: str) -> bool:
    """Declare a catalogue; whether it was taken."""
    project, body = town.catalogue(name)
    status, answer = await api.call("PUT", f"admin/projects/{project}/catalog", body)
    if status == HTTPStatus.OK:
        town.declared[project] = body
    elif answer["code"] != "target_taken":
        raise AssertionError(f"{name}: {status} {answer}")
    return status == HTTPStatus.OK


async def _catalogue(town: Town, api: WriterApi, act: Act) -> bool:
    return await declare(town, api, act.details["name"])


async def _grant(town: Town, api: WriterApi, act: Act) -> bool:
    told = act.details
    start = town.now + told["wait"] * DAY
    end = None if told["days"] is None else start + told["days"] * DAY
    body: Json = {
        "project_id": _GIVES,
        "user_id": told["user"],
        "feature": told["feature"],
        "reason": "a gift",
        "value": told["value"],
        "valid_from": _time(start),
        "valid_to": None if end is None else _time(end),
    }
    name = f"{act.who}:{told['name']}"
    status, answer = await api.call("POST", "admin/grant", body, Idempotency_Key=name)
    if status < HTTPStatus.BAD_REQUEST:
        ref = str(answer["grant_id"])
        town.gifts[name] = Gift(ref, _GIVES, told["user"], told["feature"], told["value"], start, end)
    return status < HTTPStatus.BAD_REQUEST


async def _revoke(town: Town, api: WriterApi, act: Act) -> bool:
    gift = town.gifts.pop(f"{act.who}:{act.details['gift']}", None)
    if gift is None:
        return False
    body = {"project_id": gift.project, "grant_id": int(gift.ref), "reason": "enough"}
    status, answer = await api.call("POST", "admin/revoke", body)
    assert status == HTTPStatus.OK, answer
    return True


async def _confirm(town: Town, api: WriterApi, act: Act) -> bool:
    session = town.find("checkout.session", act.who, act.details["session"])
    if session is None:
        return False
    project = session["metadata"].get("project_id", _GIVES)
    if project not in api.keys:
        return False
    status, _ = await api.call("POST", "checkout/confirm", {"session_id": session["id"]}, project=project)
    return status == HTTPStatus.OK


async def _regret(town: Town, api: WriterApi, act: Act) -> bool:
    """Confirm, and cancel in the same second: the writer has just fetched what is over now."""
    confirmed = await _confirm(town, api, act)
    await acts.play(town, replace(act, what="cancel"))
    return confirmed


AT_WRITER: Final[dict[str, Callable[[Town, WriterApi, Act], Awaitable[bool]]]] = {
    "catalogue": _catalogue,
    "grant": _grant,
    "revoke": _revoke,
    "confirm": _confirm,
    "regret": _regret,
}


async def play_all(town: Town, api: WriterApi, chosen: Sequence[Act]) -> None:
    """Do them in order, while webhooks arrive."""
    for act in chosen:
        taken = await AT_WRITER[act.what](town, api, act)
        (town.done if taken else town.refused)[act.what] += 1


def _time(seconds: int) -> str:
    return format_time(Instant(seconds * SECOND))
