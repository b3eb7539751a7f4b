"""Test clocks: customers made on one live in its time, which stands still until it is advanced."""

from collections.abc import Callable
from typing import Final

from sandbox.stripe.errors import invalid, required
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import page
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject, copied

KIND: Final = "test_helpers.test_clock"
KEPT_FOR: Final = 30 * 86400


def routes(run_until: Callable[[int, str | None], int]) -> Routes:
    """The routes; `run_until` makes happen what is due on a clock."""

    def advance(ledger: Ledger, call: Call) -> JsonObject:
        clock = ledger.store.get(KIND, call.id)
        target = call.params.integer("frozen_time")
        if target is None:
            raise required("frozen_time")
        if target <= clock["frozen_time"]:
            raise invalid("`frozen_time` must be later than the clock's current frozen time.", "frozen_time")
        clock |= {"status": "advancing", "status_details": {"advancing": {"target_frozen_time": target}}}
        shown = copied(clock)
        ledger.emit(f"{KIND}.advancing", clock)
        run_until(target, clock["id"])
        clock |= {"frozen_time": target, "status": "ready", "status_details": {}}
        ledger.store.put(clock)
        ledger.emit(f"{KIND}.ready", clock)
        return shown

    return (
        ("POST", "/v1/test_helpers/test_clocks", _create),
        ("GET", "/v1/test_helpers/test_clocks", _list),
        ("GET", "/v1/test_helpers/test_clocks/{id}", _retrieve),
        ("DELETE", "/v1/test_helpers/test_clocks/{id}", _delete),
        ("POST", "/v1/test_helpers/test_clocks/{id}/advance", advance),
    )


def _create(ledger: Ledger, call: Call) -> JsonObject:
    frozen = call.params.integer("frozen_time")
    if frozen is None:
        raise required("frozen_time")
    clock = ledger.new(
        KIND,
        "clock",
        deletes_after=ledger.clock.now() + KEPT_FOR,
        frozen_time=frozen,
        name=call.params.text("name"),
        status="ready",
        status_details={},
    )
    ledger.emit(f"{KIND}.created", clock)
    return clock


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get(KIND, call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    return page(ledger.store.all(KIND), call.params, call.path)


def _delete(ledger: Ledger, call: Call) -> JsonObject:
    clock = ledger.store.get(KIND, call.id)
    for customer in ledger.store.where("customer", test_clock=clock["id"]):
        for kind in ("subscription", "invoice"):
            for item in ledger.store.where(kind, customer=customer["id"]):
                ledger.store.remove(kind, item["id"])
        ledger.store.remove("customer", customer["id"])
    ledger.store.remove(KIND, clock["id"])
    ledger.emit(f"{KIND}.deleted", clock)
    return {"id": clock["id"], "object": KIND, "deleted": True}
