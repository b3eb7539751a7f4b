"""OpenFeature's official Python SDK and provider, against a sidecar."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from common.document import MAX_LIMIT
from tests.support.history import History, grant
from tests.support.ofrep import THEME, flags_history
from tests.support.publisher import Publisher
from tests.support.recipes import block
from tests.support.sidecars import Running, StartSidecar, in_step


@pytest.fixture
def history() -> History:
    """A project with every kind of feature."""
    return flags_history()


@dataclass(frozen=True, slots=True)
class Client:
    """The SDK's client, which is synchronous."""

    client: OpenFeatureClient

    async def ask(self, kind: str, key: str, fallback: object, user: str | None = "ann", **attributes: Any) -> Any:
        """The details of an evaluation."""
        context = EvaluationContext(targeting_key=user, attributes=attributes)
        evaluate = getattr(self.client, f"get_{kind}_details")
        return await asyncio.to_thread(evaluate, key, fallback, context)


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    """A client of the running sidecar."""
    yield from _client(running)


def _client(running: Running) -> Iterator[Client]:
    provider = OFREPProvider(f"http://{running.sidecar.address}")
    api.set_provider(provider)
    try:
        yield Client(api.get_client())
    finally:
        api.clear_providers()
        provider.session.close()


@pytest.mark.parametrize(
    ("kind", "key", "fallback", "ann", "eve"),
    [
        ("boolean", "pro", False, True, False),
        ("boolean", "free", False, True, True),
        ("integer", "seats", 1, 5, 0),
        ("integer", "storage", 1, MAX_LIMIT, 3),
        ("string", "region", "?", "us", "eu"),
        ("string", "support", "mail", "phone", "mail"),
        ("object", "theme", {}, THEME, {}),
        ("float", "theme:rate", 1.5, 0.5, 1.5),
        ("float", "theme:size", 1.5, 2.0, 1.5),
        ("string", "theme:colour", "blue", "green", "blue"),
        ("object", "theme:steps", [], [1, 2], []),
    ],
)
async def test_typed_values(client: Client, kind: str, key: str, fallback: Any, ann: Any, eve: Any) -> None:
    """Every type comes as itself; who does not hold a configuration gets the app's own default, without an error."""
    for user, value in (("ann", ann), ("eve", eve)):
        details = await client.ask(kind, key, fallback, user)
        assert (details.value, type(details.value), details.error_code) == (value, type(value), None)


async def test_details_say_why(client: Client) -> None:
    """Reason, variant and metadata reach the app."""
    details = await client.ask("integer", "storage", 0)
    assert (details.reason, details.variant) == ("TARGETING_MATCH", "unlimited")
    assert details.flag_metadata["unlimited"] is True
    details = await client.ask("boolean", "pro", True, "bob")
    assert (details.value, details.reason, details.flag_metadata["reason"]) == (False, "DISABLED", "expired")


@pytest.mark.parametrize(
    ("key", "user", "attributes", "code"),
    [
        ("nothing", "ann", {}, ErrorCode.FLAG_NOT_FOUND),
        ("pro", None, {}, ErrorCode.TARGETING_KEY_MISSING),
        ("pro", "ann", {"project_id": "other"}, ErrorCode.INVALID_CONTEXT),
        ("seats", "ann", {}, ErrorCode.TYPE_MISMATCH),
    ],
)
async def test_errors_give_the_default(
    client: Client, key: str, user: str | None, attributes: dict[str, str], code: ErrorCode
) -> None:
    """The app's default, and the protocol's code."""
    details = await client.ask("boolean", key, True, user, **attributes)
    assert (details.value, details.error_code) == (True, code)
    assert details.error_message


async def test_a_cold_sidecar_gives_the_default(start_sidecar: StartSidecar) -> None:
    """Nothing is known yet: a general error, and the app's default."""
    for client in _client(await start_sidecar("redis://127.0.0.1:1/0")):
        details = await client.ask("boolean", "pro", True)
        assert (details.value, details.error_code) == (True, ErrorCode.GENERAL)
        assert "not loaded yet" in details.error_message


async def test_the_recipe_runs_as_it_is_written(running: Running) -> None:
    """Its text, with only the address changed."""
    recipe: dict[str, Any] = {}
    exec(
        block("openfeature.md", "python").replace("http://127.0.0.1:7070", f"http://{running.sidecar.address}"), recipe
    )
    provider = recipe["client"].provider
    try:
        for user, may, seats in (("ann", True, 5), ("eve", False, 0)):
            assert await asyncio.to_thread(recipe["may"], user, "pro") is may
            assert await asyncio.to_thread(recipe["seats"], user) == seats
    finally:
        api.clear_providers()
        provider.session.close()


async def test_a_change_is_seen(client: Client, running: Running, publisher: Publisher, history: History) -> None:
    """The next evaluation has it."""
    assert not (await client.ask("boolean", "pro", False, "eve")).value
    history.change("eve", grant())
    await publisher.relay()
    await in_step(running, history)
    assert (await client.ask("boolean", "pro", False, "eve")).value
