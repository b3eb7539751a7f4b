"""Run in the writer's container: Stripe's signed word of a completed checkout that is not ours, to our webhook."""

import json
import os
import sys
import time
import urllib.request
import uuid

import stripe

_STATE = {"id": "cs_test_smoke", "object": "checkout.session", "livemode": False, "mode": "payment"}


def main() -> None:
    """Send one event of a new id."""
    event = {
        "id": f"evt_smoke_{uuid.uuid4().hex[:8]}",
        "object": "event",
        "type": "checkout.session.completed",
        "created": int(time.time()),
        "livemode": False,
        "api_version": "2026-10-28.endive",
        "data": {"object": _STATE},
    }
    payload = json.dumps(event)
    secret = os.environ["STRIPE_WEBHOOK_SECRET"].partition(",")[0]
    header = stripe.WebhookSignature.generate_signature_header(payload, secret)
    request = urllib.request.Request(
        "http://127.0.0.1:8000/api/v1/webhooks/stripe",
        payload.encode(),
        {"Stripe-Signature": header, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        sys.stdout.write(f"{answer.status} {event['id']}\n")


if __name__ == "__main__":
    main()
