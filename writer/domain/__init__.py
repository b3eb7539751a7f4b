"""Pure billing rules: Stripe object to billing change to entitlements. No I/O, no clock of its own."""
