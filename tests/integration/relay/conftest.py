"""What the relay's tests may ask for."""

from tests.support.relay_stage import engine, ledger, redis, start_relay

__all__ = ["engine", "ledger", "redis", "start_relay"]
