"""The official Stripe CLI: found or installed from npm, and run against the stand-in."""

import asyncio
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGE: Final = "@stripe/cli@1"
TIMEOUT_S: Final = 90.0
INSTALL_TIMEOUT_S: Final = 180.0
_TYPE: Final = re.compile(r"^  ([a-z0-9_]+(?:\.[a-z0-9_]+)+)$", re.MULTILINE)


class CliError(Exception):
    """The CLI is missing, or refused what was asked of it; the message says what to do or what it said."""


@dataclass(frozen=True, slots=True)
class StripeCli:
    """The CLI with an API to talk to and a home of its own, so that nobody's login or configuration is touched."""

    binary: str
    home: Path
    api_base: str
    api_key: str

    async def trigger(self, event_type: str, *changes: str) -> None:
        """`stripe trigger`; `changes` are further arguments such as `--add`, `product:metadata.x=y`."""
        await self._run("trigger", event_type, *changes, "--api-base", self.api_base)

    async def resend(self, event_id: str) -> None:
        """`stripe events resend`."""
        await self._run("events", "resend", event_id, "--confirm", "--api-base", self.api_base)

    async def offered(self) -> frozenset[str]:
        """The event types that `stripe trigger` knows."""
        return frozenset(_TYPE.findall(await self._run("trigger", "--help")))

    async def _run(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            self.binary, *arguments, "--color", "off",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.home), "STRIPE_API_KEY": self.api_key,
                 "STRIPE_CLI_TELEMETRY_OPTOUT": "1"},
        )  # fmt: skip
        try:
            async with asyncio.timeout(TIMEOUT_S):
                output, _ = await process.communicate()
        except TimeoutError as error:
            process.kill()
            raise CliError(f"stripe {' '.join(arguments[:2])} did not end in {TIMEOUT_S:.0f} s") from error
        text = output.decode(errors="replace")
        if process.returncode:
            raise CliError(f"stripe {' '.join(arguments[:2])}: {_last_line(text)}")
        return text


def installed(folder: Path) -> str:
    """The CLI's path: what `STRIPE_CLI` names, or what npm installs into `folder`; CliError where neither can be."""
    if named := os.environ.get("STRIPE_CLI"):
        return named
    binary = folder / "node_modules" / ".bin" / "stripe"
    if binary.exists():
        return str(binary)
    npm = shutil.which("npm")
    if npm is None:
        raise CliError(
            "the official Stripe CLI comes from npm, and there is no npm here: install Node.js with npm, "
            "or set STRIPE_CLI to the path of a stripe binary"
        )
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--no-save", PACKAGE],
        check=False, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode or not binary.exists():
        raise CliError(f"npm could not install {PACKAGE}: {_last_line(done.stderr or done.stdout)}")
    return str(binary)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
