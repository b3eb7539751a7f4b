"""`python -m tests.cli_triggers`: the official CLI triggers each event of ours; the writer ends in Stripe's state."""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from sandbox.clients import CallError, Json
from sandbox.interrupt import Interrupted, run
from sandbox.keyring import STRIPE_KEY
from sandbox.service import ROOT
from sandbox.stack import Stack, StackConfig
from tests.cli_triggers.expectations import EXPECTED, FEATURE, PROJECT, changes
from tests.cli_triggers.mirror import Mirror, MissedError
from tests.cli_triggers.stripe_cli import CliError, StripeCli, installed
from writer.domain.stripe.kinds import KIND_OF_TYPE

SCRATCH: Final = ROOT / ".sandbox" / "stripe-cli"
LOGS: Final = ROOT / ".sandbox" / "logs" / "stripe-cli"
PATIENCE_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Row:
    """What one trigger came to; `missed` says what was wrong."""

    name: str
    events: int = 0
    outcome: str = ""
    missed: str = ""


@dataclass(frozen=True, slots=True)
class Triggers:
    """The CLI on one side of the stand-in, the writer on the other."""

    stack: Stack
    cli: StripeCli
    mirror: Mirror

    async def play(self, event_type: str) -> Row:
        """Trigger one type and look at everything that came of it."""
        user, expected = f"cli-{event_type}", EXPECTED.get(event_type)
        before = await self._newest()
        try:
            await self.cli.trigger(event_type, *([] if expected is None else changes(expected, user)))
            if expected is not None and expected.bank is not None:
                await self._decide(expected.bank)
            events = await self._until_sent(event_type, before)
            outcomes = await self.mirror.settled([event["id"] for event in events])
            await self.mirror.compare()
            answer = "mirrored" if expected is None else await self._answer(user, granted=expected.granted)
        except (CliError, CallError, MissedError) as error:
            return Row(event_type, missed=str(error))
        counts = ", ".join(f"{number} {status}" for status, number in sorted(outcomes.items()))
        return Row(event_type, len(events), f"{answer}; {counts}")

    async def resend(self) -> Row:
        """A webhook that was lost is sent again on request, by `stripe events resend`."""
        event_type, name = "customer.subscription.deleted", "events resend"
        user, before = "cli-resend", await self._newest()
        try:
            await self.stack.stripe.control("faults", fault="drop", types=[event_type])
            await self.cli.trigger(event_type, *changes(EXPECTED[event_type], user))
            events = await self._until_sent(event_type, before)
            await self.stack.stripe.api.call("DELETE", "/_sandbox/faults")
            lost = next(event for event in events if event["type"] == event_type)
            await self.cli.resend(lost["id"])
            await self.mirror.settled([event["id"] for event in events])
            await self.mirror.compare()
            answer = await self._answer(user, granted=False)
        except (CliError, CallError, MissedError) as error:
            return Row(name, missed=str(error))
        return Row(name, 1, answer)

    async def _answer(self, user: str, *, granted: bool) -> str:
        """Wait until the app's sidecar answers as it must."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (await self._allowed(user)) is not granted:  # noqa: ASYNC110 - the sidecar is another process
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise MissedError(f"the sidecar must {'allow' if granted else 'deny'} {FEATURE}, and does not") from error
        return "allowed" if granted else "denied"

    async def _allowed(self, user: str) -> bool:
        return bool((await self.stack.apps[PROJECT].sidecar.check(user, FEATURE))["allowed"])

    async def _decide(self, outcome: str) -> None:
        """Play the bank, which tells days later whether a payment went through."""
        (session,) = (await self.stack.stripe.get("checkout/sessions", limit="1"))["data"]
        await self.stack.stripe.control(f"pay/{session['id']}", outcome=outcome)

    async def _newest(self) -> str:
        return str((await self.stack.stripe.get("events", limit="1"))["data"][0]["id"])

    async def _until_sent(self, event_type: str, before: str) -> list[Json]:
        """All events after `before`; MissedError unless one of the type is among them."""
        events: list[Json] = (await self.stack.stripe.get("events", limit="100", ending_before=before))["data"]
        types = {event["type"] for event in events}
        if event_type not in types:
            raise MissedError(f"the stand-in sent no {event_type}, but {', '.join(sorted(types))}")
        return events


async def _play(chosen: Sequence[str]) -> int:
    binary = await asyncio.to_thread(installed, SCRATCH)
    with tempfile.TemporaryDirectory(prefix="stripe-cli-") as home:
        async with Stack(StackConfig(LOGS), lambda text: print(f"up: {text}", file=sys.stderr)) as stack:
            cli = StripeCli(binary, Path(home), stack.stripe_url, STRIPE_KEY)
            database = await asyncpg.connect(stack.postgres.url)
            try:
                triggers = Triggers(stack, cli, Mirror(stack, database))
                types = sorted(chosen or (await cli.offered()) & KIND_OF_TYPE.keys())
                rows = [_told(await triggers.play(event_type)) for event_type in types]
                rows.append(_told(await triggers.resend()))
            finally:
                await database.close()
    missed = [row for row in rows if row.missed]
    print(f"\n{len(rows) - len(missed)} of {len(rows)} ended in the expected state")
    return 1 if missed else 0


def _told(row: Row) -> Row:
    print(
        f"{'MISS' if row.missed else 'ok':4}  {row.name:44} {row.events:3} events  {row.missed or row.outcome}",
        flush=True,
    )
    return row


def main() -> int:
    """The exit status: 0 only if every trigger ended as it must."""
    try:
        return run(_play(sys.argv[1:]))
    except Interrupted as signal:
        return 128 + signal.number
    except CliError as error:
        print(f"stripe-cli: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
