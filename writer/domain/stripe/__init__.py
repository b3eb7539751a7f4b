"""Stripe's objects, in every shape they arrive in, as what billing needs of them. Pure."""
