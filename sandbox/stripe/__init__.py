"""A Stripe stand-in: one stateful server on loopback, in today's API shapes, that signs and sends webhooks."""
