"""The local stack: real Postgres and Redis from wheels, a Stripe stand-in, a toy app."""
