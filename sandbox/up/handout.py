"""What `make up` hands out: settings for a shell, and three curl lines."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson

from sandbox.keyring import STRIPE_KEY, write_private
from sandbox.stack import Stack

USER = "ada"
FEATURE = "export"


def settings(stack: Stack) -> dict[str, str]:
    """Everything that a program needs to work with the running stack."""
    notes = stack.apps["notes"]
    return {
        "WRITER_URL": stack.writer_url,
        "SIDECAR_URL": notes.sidecar.answers.url,
        "SIDECAR_MANAGEMENT_URL": notes.sidecar.management.url,
        "STRIPE_API_BASE": stack.stripe_url,
        "STRIPE_SECRET_KEY": STRIPE_KEY,
        "STRIPE_WEBHOOK_SECRET": stack.keyring.webhook,
        "ADMIN_API_KEY": stack.keyring.admin,
        "PROJECT_ID": notes.app.project,
        "PROJECT_API_KEY": notes.key,
        "FEATURE": FEATURE,
        "PRICE_ID": notes.prices.subscription,
        "DATABASE_URL": stack.postgres.url,
        "REDIS_URL": stack.redis.url,
    }


@contextmanager
def environment_file(path: Path, values: Mapping[str, str]) -> Iterator[None]:
    """`KEY=value` lines for a shell to source, there for as long as they are true."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in values.items()]
    write_private(path, "".join(lines).encode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def curl_lines(stack: Stack, home: str) -> tuple[str, str, str]:
    """Ask, begin to pay, look how the sidecar stands: to be copied into a shell."""
    values = settings(stack)
    order = {
        "user_id": USER,
        "price_id": values["PRICE_ID"],
        "success_url": f"{home}return?user={USER}",
        "cancel_url": home,
    }
    check = shlex.quote(f"{values['SIDECAR_URL']}/api/v1/check?user_id={USER}&feature={FEATURE}")
    bearer = shlex.quote(f"Authorization: Bearer {values['PROJECT_API_KEY']}")
    json = "-H 'Content-Type: application/json'"
    body = shlex.quote(orjson.dumps(order).decode())
    return (
        f"curl -s {check}",
        f"curl -s {values['WRITER_URL']}/api/v1/checkout/create -H {bearer} {json} -d {body}",
        f"curl -s {values['SIDECAR_MANAGEMENT_URL']}/status",
    )
