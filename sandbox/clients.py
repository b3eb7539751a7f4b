"""The wire as the sandbox speaks it: writer, sidecar, and Stripe's API, each by its URL alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import orjson

Json = dict[str, Any]
TIMEOUT: Final = aiohttp.ClientTimeout(total=15.0)


class CallError(Exception):
    """A server refused a call or could not be reached; `status` is None when no answer came."""

    def __init__(self, what: str, status: int | None, body: Any) -> None:
        reason = "no answer" if status is None else f"status {status}"
        super().__init__(f"{what}: {reason}: {body}")
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base URL, the session that calls it, and the key that every call carries."""

    session: aiohttp.ClientSession
    url: str
    key: str | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON that a call answers; CallError for every status but 2xx, and where no answer comes."""
        sent = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        sent |= headers or {}
        data: Any = form
        if body is not None:
            data, sent["Content-Type"] = orjson.dumps(body), "application/json"
        what = f"{method} {self.url}{path}"
        try:
            async with self.session.request(
                method, f"{self.url}{path}", params=query, data=data, headers=sent, allow_redirects=False
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CallError(what, None, f"{type(error).__name__} {error}") from error
        found = _parsed(content)
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise CallError(what, answer.status, found)
        return found


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        return content.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One app's sidecar: its answers, and how it stands."""

    answers: Endpoint
    management: Endpoint
    project: str

    async def check(self, user: str, feature: str, min_revision: str | None = None) -> Json:
        """The answer to one question."""
        query = {"user_id": user, "feature": feature}
        if min_revision is not None:
            query["min_revision"] = min_revision
        answer: Json = await self.answers.call("GET", "/api/v1/check", query=query)
        return answer

    async def standing(self) -> Json:
        """The project's part of `/status`."""
        status = await self.management.call("GET", "/status")
        standing: Json = status["projects"][self.project]
        return standing

    async def propagation(self) -> tuple[int, float]:
        """How many changes it timed from the writer's receipt until it applied them, and their sum in seconds."""
        text = await self.management.call("GET", "/metrics")
        return int(_sample(text, "sidecar_propagation_seconds_count")), _sample(text, "sidecar_propagation_seconds_sum")


def _sample(text: str, name: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@dataclass(frozen=True, slots=True)
class Writer:
    """The writer as one app sees it, with that app's key."""

    api: Endpoint
    project: str

    async def checkout(self, user: str, price: str, back: str, **more: Any) -> Json:
        """Begin a checkout that returns to `back`: `session_id`, `url`, `expires_at`."""
        joint = "&" if "?" in back else "?"
        body = {
            "user_id": user,
            "price_id": price,
            "success_url": f"{back}{joint}session_id={{CHECKOUT_SESSION_ID}}",
            "cancel_url": back,
            **more,
        }
        session: Json = await self.api.call("POST", "/api/v1/checkout/create", body=body)
        return session

    async def confirm(self, session_id: str) -> Json:
        """Apply a session on return from Stripe: the entitlements and a `token`."""
        confirmed: Json = await self.api.call("POST", "/api/v1/checkout/confirm", body={"session_id": session_id})
        return confirmed

    async def changes(self, epoch: int, after: int) -> list[Json]:
        """The project's changes after a revision, oldest first, as sidecars receive them."""
        query = {"project_id": self.project, "epoch": str(epoch), "after": str(after), "wait": "0"}
        page = await self.api.call("GET", "/api/v1/changes", query=query)
        messages: list[Json] = page["messages"]
        return messages


@dataclass(frozen=True, slots=True)
class Stripe:
    """Stripe's API, and the stand-in's own control routes."""

    api: Endpoint

    async def get(self, path: str, **query: str) -> Json:
        """GET `/v1/PATH`."""
        found: Json = await self.api.call("GET", f"/v1/{path}", query=query)
        return found

    async def post(self, path: str, **form: str) -> Json:
        """POST `/v1/PATH` with form fields."""
        return await self.post_form(path, form)

    async def post_form(self, path: str, form: Mapping[str, str]) -> Json:
        """POST with fields such as `recurring[interval]`."""
        made: Json = await self.api.call("POST", f"/v1/{path}", form=form)
        return made

    async def delete(self, path: str) -> Json:
        """DELETE `/v1/PATH`."""
        gone: Json = await self.api.call("DELETE", f"/v1/{path}")
        return gone

    async def control(self, path: str, **body: Any) -> Json:
        """POST `/_sandbox/PATH`: play customer, bank or bad network."""
        done: Json = await self.api.call("POST", f"/_sandbox/{path}", body=body)
        return done

    async def pay(self, session_id: str) -> Json:
        """The customer pays; the completed session."""
        paid: Json = (await self.control(f"pay/{session_id}", outcome="pay"))["session"]
        return paid
