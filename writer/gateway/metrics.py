"""What was asked of Stripe, what became of it, and what waits."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from writer.gateway.rate_limit import Urgency
from writer.gateway.shared_rate_limit import SharedLimiter
from writer.gateway.transport import StripeTransport


class StripeMetrics(Collector):
    """Reads transport and limiter when it is asked. Registers itself."""

    def __init__(self, registry: CollectorRegistry, transport: StripeTransport, limiter: SharedLimiter) -> None:
        self._transport = transport
        self._limiter = limiter
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """All of them, as they stand."""
        requests = CounterMetricFamily(
            "billing_stripe_requests", "Requests to Stripe, by operation and outcome", labels=["operation", "outcome"]
        )
        for (operation, outcome), count in self._transport.outcomes.items():
            requests.add_metric([operation, outcome.value], count)
        yield requests
        seconds = CounterMetricFamily(
            "billing_stripe_request_seconds", "What requests to Stripe took, in all, by operation", labels=["operation"]
        )
        for operation, took in self._transport.seconds.items():
            seconds.add_metric([operation], took)
        yield seconds
        limits = CounterMetricFamily(
            "billing_stripe_limited", "Answers 429 of Stripe, by the limit that it names", labels=["limit"]
        )
        for limit, count in self._transport.limits.items():
            limits.add_metric([limit], count)
        yield limits
        waiting = GaugeMetricFamily("billing_stripe_waiting", "Requests that wait for their turn", labels=["urgency"])
        waited = CounterMetricFamily(
            "billing_stripe_waited_seconds", "What requests waited for their turn, in all", labels=["urgency"]
        )
        for urgency in Urgency:
            waiting.add_metric([urgency.name.lower()], self._limiter.waiting(urgency))
            waited.add_metric([urgency.name.lower()], self._limiter.waited[urgency])
        yield waiting
        yield waited
        yield GaugeMetricFamily(
            "billing_stripe_away",
            "1 while Stripe failed so often in a row that background work waits for it",
            value=self._transport.breaker.is_open,
        )
