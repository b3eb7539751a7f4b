"""The central writer: owns Stripe, Postgres and publishing."""
