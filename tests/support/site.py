"""A site for operators: Stripe's stand-in, a whole writer in this process, and a sidecar as a process of its own."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from sandbox.clients import TIMEOUT, Endpoint, Sidecar, Stripe
from sandbox.keyring import STRIPE_KEY, Keyring
from sandbox.parts import Blueprint
from sandbox.seed import seed_stripe, seed_writer, until_sold
from sandbox.service import Service
from sandbox.shop import NOTES, App
from sandbox.stripe.server import Options, StripeStandIn
from tests.support.planted_faults import Site
from tests.support.stripe_standin import FAST_RETRIES
from tests.support.waiting import eventually
from writer import settings
from writer.app import running


@dataclass(frozen=True, slots=True)
class Running:
    """The site, and the environment that an operator's commands have."""

    site: Site
    environment: Mapping[str, str]


@asynccontextmanager
async def running_site(database_url: str, redis_url: str, logs: Path, app: App = NOTES) -> AsyncIterator[Running]:
    """Everything runs, `app` is sold, and its sidecar is in step."""
    async with AsyncExitStack() as stack:
        keyring = Keyring.new()
        blueprint = Blueprint(logs, None, keyring, FAST_RETRIES, "5s")
        hook = f"{blueprint.url('writer')}/api/v1/webhooks/stripe"
        chosen = Options(webhook_url=hook, webhook_secret=keyring.webhook, retry_scale=FAST_RETRIES)
        standin = await stack.enter_async_context(StripeStandIn(chosen))
        environment = {
            "WRITER_LISTEN": f"127.0.0.1:{blueprint.port('writer')}",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_WEBHOOK_SECRET": keyring.webhook,
            "STRIPE_API_BASE": standin.url,
            "STRIPE_MAX_RPS": "100",
            "ADMIN_API_KEY": keyring.admin,
            "STRIPE_SWEEP_EVERY": "1h",  # or it would mend by itself what a test has kept from the writer
        }
        await stack.enter_async_context(running(settings.read(environment)))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=TIMEOUT))
        stripe = Stripe(Endpoint(http, standin.url, STRIPE_KEY))
        admin = Endpoint(http, blueprint.url("writer"), keyring.admin)
        prices = await seed_stripe(stripe, app)
        keyring = await seed_writer(admin, app, keyring)
        await until_sold(admin, app, prices)
        name = f"sidecar-{app.project}"
        config = blueprint.sidecar(name, app.project, keyring, redis_url).config
        # By Redis alone: with a writer's address it would follow the writer, whatever happens to the relay.
        process = Service(replace(config, env={**config.env, "WRITER_URL": ""}))
        await process.start()
        stack.push_async_callback(process.kill)
        management = Endpoint(http, blueprint.url(f"{name}-management"))
        sidecar = Sidecar(Endpoint(http, blueprint.url(name)), management, app.project)
        await eventually(lambda: _in_step(sidecar))
        yield Running(Site(stripe, admin, sidecar, name, database_url, app, prices), environment)


async def _in_step(sidecar: Sidecar) -> bool:
    standing = await sidecar.standing()
    return bool(standing["complete"] and not standing["stale"])
