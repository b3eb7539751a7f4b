"""A stateful stand-in for Stripe, for demos and tests."""
