"""What the tests on other engines may ask for."""

from tests.support.relay_stage import engine, ledger, start_relay
from tests.support.sidecars import start_sidecar

__all__ = ["engine", "ledger", "start_relay", "start_sidecar"]
