"""Apply: Stripe's state of one object becomes ours, under its lock, and its users are computed again."""
