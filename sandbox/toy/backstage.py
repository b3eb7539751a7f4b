"""What the toy app needs of whatever runs behind it: processes of this machine, or containers."""

from collections.abc import Mapping
from typing import Protocol

from sandbox.clients import Stripe
from sandbox.stack import RunningApp


class Part(Protocol):
    """A server behind the app."""

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        ...


class Backstage(Protocol):
    """Everything behind the app. `parts`: what its buttons may kill and start again; may be empty."""

    @property
    def apps(self) -> Mapping[str, RunningApp]:
        """By project."""
        ...

    @property
    def parts(self) -> Mapping[str, Part]:
        """By name: `redis`, `writer`."""
        ...

    @property
    def stripe(self) -> Stripe:
        """Stripe's API."""
        ...

    @property
    def stripe_url(self) -> str:
        """Where a browser reaches Stripe's pages."""
        ...

    async def kill(self, *names: str) -> None:
        """SIGKILL these parts."""
        ...

    async def restart(self, *names: str) -> None:
        """Start these parts again."""
        ...
